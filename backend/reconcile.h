// Brings devices and records back in step after a crash: what nobody owns is removed, what is in
// use is left, what is not ours is not touched.
#pragma once

#include "backend/macvtap_device.h"

#include <string>
#include <vector>

namespace tapline {

enum class Finding {
    in_order,  // Kept, or its owner lives.
    in_use,    // Its owner died and another process has its queues open: not touched.
    leftover,  // Device, record or node of an owner that died: removed.
    forgotten, // Record of a device or host link that is gone: removed.
    orphan,    // A device of ours without a record, or with a damaged one: recorded as kept.
};
const char* to_text(Finding finding);

struct Reconciled {
    Finding finding{};
    std::string subject;
    std::string reason;
    std::string failure = {}; // Why it could not be mended.
};

enum class Mending { mend, only_tell };

// Of every network namespace that has a record, and the current one. The process is back in the
// one it came from afterwards.
std::vector<Reconciled> reconcile(Mending mending);

// OwnedMacvtap::create(), and where a device whose owner was killed is in the way, by its name, its
// address or its parent for itself, that is removed first: whoever is restarted gets its own again.
OwnedMacvtap create_over_leftovers(Netlink& netlink, const InterfaceSpec& spec);

} // namespace tapline
