#include "hooks/libvirt/plug_lock.h"

#include "hooks/libvirt/connection.h"

namespace tapline::libvirt {

hooks::DomainLock lock_plugging(const Domain& domain) {
    return hooks::DomainLock::take(domain.uuid() + "-plug");
}

} // namespace tapline::libvirt
