#include "backend/allowed_macs.h"

#include "backend/base/error.h"

#include <fmt/format.h>
#include <linux/if_link.h>

#include <algorithm>
#include <iterator>

namespace tapline {
namespace {

using Macs = std::vector<MacAddress>;

bool holds(const Macs& macs, const MacAddress& mac) {
    return std::ranges::find(macs, mac) != macs.end();
}

Macs without(const Macs& macs, const Macs& others) {
    Macs rest;
    std::ranges::copy_if(macs, std::back_inserter(rest),
                         [&](const MacAddress& mac) { return !holds(others, mac); });
    return rest;
}

[[noreturn]] void refuse(const MacvtapDevice& device, const std::string& cause,
                         const std::string& next_step = {}) {
    throw Error({.operation = fmt::format("change the allowed MAC addresses of '{}'", device.name),
                 .cause = cause,
                 .next_step = next_step});
}

// One address a request: replacing the kernel's list empties it first, and frames would be lost.
void change_one(Netlink& netlink, const MacvtapDevice& device, uint32_t how,
                const MacAddress& mac) {
    LinkRequest request = LinkRequest::change_kind(device.index);
    {
        const auto info = request.nest(IFLA_LINKINFO);
        request.put(IFLA_INFO_KIND, to_text(device.kind));
        const auto data = request.nest(IFLA_INFO_DATA);
        request.put(IFLA_MACVLAN_MACADDR_MODE, how);
        request.put(IFLA_MACVLAN_MACADDR, mac);
    }
    if (const auto refusal = netlink.request(request).refusal) {
        refuse(device, fmt::format("{}: {}", mac.text(), refusal->text),
               refusal->code == EPERM ? "run as root" : "");
    }
}

} // namespace

void put_allowed_macs(LinkRequest& request, const Macs& macs) {
    request.put(IFLA_MACVLAN_MACADDR_MODE, uint32_t{MACVLAN_MACADDR_SET});
    const auto list = request.nest(IFLA_MACVLAN_MACADDR_DATA);
    for (const MacAddress& mac : macs) {
        request.put(IFLA_MACVLAN_MACADDR, mac);
    }
}

void change_allowed_macs(Netlink& netlink, const MacvtapDevice& device, AllowedMacsChange change,
                         const Macs& macs) {
    if (device.mode != MacvlanMode::source) {
        refuse(device, fmt::format("mode {} has no list of them", to_text(device.mode)),
               "create it with --mode source");
    }
    const Macs& present = device.allowed_macs;
    Macs added;
    Macs removed;
    switch (change) {
    case AllowedMacsChange::add:
        added = without(macs, present);
        break;
    case AllowedMacsChange::remove:
        if (const Macs missing = without(macs, present); !missing.empty()) {
            refuse(device, fmt::format("{} is not on the list", missing.front().text()));
        }
        removed = macs;
        break;
    case AllowedMacsChange::replace:
        added = without(macs, present);
        removed = without(present, macs);
        break;
    }
    if (present.size() + added.size() - removed.size() > allowed_macs_max) {
        refuse(device, fmt::format("it would have more than {}", allowed_macs_max));
    }
    for (const MacAddress& mac : added) {
        change_one(netlink, device, MACVLAN_MACADDR_ADD, mac);
    }
    for (const MacAddress& mac : removed) {
        change_one(netlink, device, MACVLAN_MACADDR_DEL, mac);
    }
}

} // namespace tapline
