#include "hooks/libvirt/leftovers.h"

#include "backend/base/error.h"
#include "backend/base/log.h"
#include "hooks/domain_record.h"
#include "hooks/libvirt/connection.h"
#include "hooks/lifecycle.h"

namespace tapline::libvirt {
namespace {

using hooks::DomainRecord;

// libvirt counts a domain as running before it calls the hook that makes its devices. But it may
// start between the question and the lock: then its record was written anew meanwhile.
void remove_leftovers_of(const Connection& connection, const std::string& uuid) {
    const auto version = DomainRecord::version(uuid);
    if (!version || connection.is_running(uuid)) {
        return;
    }
    Netlink netlink = Netlink::open();
    DomainRecord record = DomainRecord::open(uuid);
    if (DomainRecord::version(uuid) != version) {
        return;
    }
    for (const hooks::MadeInterface& made : record.interfaces()) {
        log(LogLevel::info, "removing '{}', which domain {} left", made.device, uuid);
    }
    hooks::remove_all(netlink, record, record.interfaces());
}

} // namespace

void remove_leftovers(const Connection& connection) {
    for (const std::string& uuid : DomainRecord::uuids()) {
        try {
            remove_leftovers_of(connection, uuid);
        } catch (const Error& error) {
            log(LogLevel::warning, "{}", error.what());
        }
    }
}

} // namespace tapline::libvirt
