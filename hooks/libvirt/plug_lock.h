// One card is plugged in or out at a time: each reads a domain's metadata, changes and writes it.
#pragma once

#include "backend/base/unique_fd.h"

namespace tapline::libvirt {

// Held across calls to libvirt, so no hook may wait for it; none does.
class PlugLock {
public:
    PlugLock(); // Waits for the one before. Throws Error.

private:
    UniqueFd folder_;
};

} // namespace tapline::libvirt
