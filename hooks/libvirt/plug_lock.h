// One card at a time is plugged into a domain or out of it: each reads the domain's metadata,
// changes and writes it.
#pragma once

#include "hooks/domain_lock.h"

namespace tapline::libvirt {

class Domain;

// Held across calls to libvirt, so no hook may wait for it; none does. Waits some time for who has
// it. Throws Error.
hooks::DomainLock lock_plugging(const Domain& domain);

} // namespace tapline::libvirt
