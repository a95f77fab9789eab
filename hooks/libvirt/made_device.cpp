#include "hooks/libvirt/made_device.h"

#include "backend/base/error.h"
#include "hooks/domain_record.h"
#include "hooks/interface_life.h"

#include <fmt/format.h>

#include <algorithm>

namespace tapline::libvirt {
namespace {

using hooks::DomainRecord;
using hooks::MadeInterface;

} // namespace

// The record is locked as long as it is open, and hooks wait for it: never while libvirt is asked.

void make_device(const std::string& uuid, const hooks::InterfacePlan& plan) {
    const std::string& name = *plan.spec.name();
    Netlink netlink = Netlink::open();
    DomainRecord record = DomainRecord::open(uuid);
    if (netlink.link(name)) {
        throw Error({.operation = fmt::format("create '{}'", name),
                     .cause = "there is an interface of that name",
                     .next_step = "it may be another card's of the same address: see `tapline "
                                  "libvirt list` and `tapline list`"});
    }
    record.put(MadeInterface::of(plan));
    try {
        record.put(hooks::make_interface(netlink, plan));
    } catch (...) {
        record.drop(name);
        throw;
    }
}

void remove_device(const std::string& uuid, const std::string& device) {
    Netlink netlink = Netlink::open();
    DomainRecord record = DomainRecord::open(uuid);
    const std::vector<MadeInterface> all = record.interfaces();
    const auto made = std::ranges::find(all, device, &MadeInterface::device);
    if (made != all.end()) {
        hooks::remove_interface(netlink, *made);
        record.drop(device);
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
