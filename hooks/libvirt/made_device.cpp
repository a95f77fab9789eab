#include "hooks/libvirt/made_device.h"

#include "backend/base/error.h"
#include "backend/base/log.h"
#include "hooks/domain_record.h"
#include "hooks/interface_life.h"
#include "hooks/lifecycle.h"
#include "hooks/preflight.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

namespace tapline::libvirt {
namespace {

using hooks::DomainRecord;
using hooks::MadeInterface;

// What could not be removed stays recorded.
void remove_quietly(Netlink& netlink, DomainRecord& record, const MadeInterface& made) {
    try {
        hooks::remove_all(netlink, record, {made});
    } catch (const std::exception& error) { // What failed first is what is thrown.
        log(LogLevel::warning, "{}", error.what());
    }
}

} // namespace

// The record is locked as long as it is open, and hooks wait for it: never while libvirt is asked.

void make_device(const std::string& uuid, const hooks::InterfacePlan& plan) {
    const std::string& name = *plan.spec.name();
    Netlink netlink = Netlink::open();
    DomainRecord record = DomainRecord::open(uuid);
    if (const auto link = netlink.link(name)) {
        throw Error({.operation = fmt::format("create '{}'", name),
                     .cause = "there is an interface of that name",
                     .next_step = hooks::way_to_free(*link)});
    }
    record.put(MadeInterface::of(plan));
    try {
        record.put(hooks::make_interface(netlink, plan));
    } catch (...) {
        remove_quietly(netlink, record, MadeInterface::of(plan));
        throw;
    }
}

void remove_device(const std::string& uuid, const std::string& device) {
    Netlink netlink = Netlink::open();
    DomainRecord record = DomainRecord::open(uuid);
    const std::vector<MadeInterface> all = record.interfaces();
    const auto made = std::ranges::find(all, device, &MadeInterface::device);
    if (made != all.end()) {
        hooks::remove_all(netlink, record, {*made});
    }
}

std::optional<std::string> find_recorded_device(const std::string& uuid, const MacAddress& mac,
                                                const std::string& name) {
    if (!DomainRecord::exists(uuid)) {
        return std::nullopt;
    }
    const DomainRecord record = DomainRecord::open(uuid);
    const std::string option = "--mac=" + mac.text();
    for (const MadeInterface& made : record.interfaces()) {
        // Devices that share their parent's address are described without one.
        if (made.device == name || made.description.find(option) != std::string::npos) {
            return made.device;
        }
    }
    return std::nullopt;
}

} // namespace tapline::libvirt
