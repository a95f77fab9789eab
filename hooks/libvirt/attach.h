// Plugging an interface into a domain and out of it again.
#pragma once

#include "hooks/libvirt/attachment.h"
#include "hooks/libvirt/card.h"
#include "hooks/libvirt/connection.h"

#include <chrono>
#include <string>
#include <vector>

namespace tapline::libvirt {

// Which descriptions of the domain: at least one.
struct Affected {
    bool live = false;
    bool config = false;

    // As virsh chooses where nothing was asked for: the running guest, else the next start. Throws
    // Error for what the domain does not have.
    static Affected choose(const Domain& domain, bool live, bool config);
};

struct NewCard {
    Way way{};          // Not direct.
    InterfaceText text; // Without address: a random one, or the parent's where it must be.
    bool trusts_mac = false;
    std::vector<std::string> pump_options;
};

struct AttachedCard {
    MacAddress mac;
    std::string device;
};

// Both throw Error. After a failed attach() nothing is left of it.
AttachedCard attach(const Domain& domain, const NewCard& card, const Affected& affected);
// Waits for the guest to give the card up. Needs use_main_loop().
void detach(const Connection& connection, const Domain& domain, const MacAddress& mac,
            const Affected& affected, std::chrono::milliseconds limit);

} // namespace tapline::libvirt
