#include "hooks/preflight.h"

#include "backend/base/error.h"
#include "backend/device_record.h"
#include "backend/parent.h"
#include "backend/station.h"

#include <fmt/format.h>
#include <linux/if_link.h>

#include <map>

namespace tapline::hooks {
namespace {

[[noreturn]] void refuse(const InterfaceSpec& device, const std::string& cause,
                         const std::string& next_step) {
    throw Error(
        {.operation = fmt::format("create {} on '{}'", to_text(device.kind()), device.parent()),
         .cause = cause,
         .next_step = next_step});
}

// All but a VRF take the frames of their ports, as a macvtap does of its parent.
void check_master(Netlink& netlink, const InterfaceSpec& device, const Link& parent) {
    const auto master = parent.master_index != 0 ? netlink.link(parent.master_index) : std::nullopt;
    if (master && master->kind != "vrf") {
        refuse(device, fmt::format("it is a port of {} '{}'", master->kind, master->name),
               fmt::format("take it out with `ip link set {} nomaster`, or name another parent",
                           parent.name));
    }
}

void check_passthru(Netlink& netlink, const InterfaceSpec& device, const Link& parent) {
    for (const Link& link : netlink.links()) {
        if (!is_station(link) || !stands_on(link, parent.index)) {
            continue;
        }
        if (link.mode == MACVLAN_MODE_PASSTHRU) {
            refuse(device, fmt::format("'{}' has it for itself, in mode passthru", link.name),
                   "name another parent");
        }
        if (device.mode() == MacvlanMode::passthru && link.mode != MACVLAN_MODE_SOURCE) {
            refuse(device,
                   fmt::format("mode passthru takes it for itself and '{}' is on it", link.name),
                   "name another parent or mode");
        }
    }
}

void check_name(Netlink& netlink, const InterfaceSpec& device) {
    const auto link = device.name() ? netlink.link(*device.name()) : std::nullopt;
    if (link) {
        refuse(device, fmt::format("there is an interface '{}' already", link->name),
               way_to_free(*link));
    }
}

// Two of the same domain and parent.
void check_pair(const InterfaceSpec& device, const InterfaceSpec& other) {
    if (device.mac() && device.mac() == other.mac()) {
        refuse(
            device,
            fmt::format("two interfaces of the domain have MAC address {}", device.mac()->text()),
            "give each its own");
    }
    if (device.mode() == MacvlanMode::passthru || other.mode() == MacvlanMode::passthru) {
        refuse(device,
               "two interfaces of the domain need it, one of them for itself, in mode passthru",
               "name another parent for one");
    }
}

// A macvlan stands for what it stands on: the kernel makes the new device there.
std::string lowest(Netlink& netlink, const std::string& name) {
    const auto link = netlink.link(name);
    if (!link || !is_station(*link) || link->parent_is_elsewhere) {
        return name;
    }
    const auto below = netlink.link(link->parent_index);
    return below ? below->name : name;
}

} // namespace

std::vector<InterfaceSpec> direct_devices_of(Netlink& netlink, const xml::Domain& domain) {
    std::vector<InterfaceSpec> devices;
    for (const xml::Interface& interface : domain.interfaces) {
        if (interface.kind != xml::InterfaceKind::direct) {
            continue;
        }
        InterfaceText text{.parent = lowest(netlink, *interface.parent)};
        const bool passthru = interface.mode == "passthrough";
        text.mode = passthru ? "passthru" : interface.mode;
        if (interface.mac && !passthru) {
            text.mac = interface.mac->text();
        }
        if (interface.mtu) {
            text.mtu = fmt::to_string(*interface.mtu);
        }
        devices.push_back(InterfaceSpec::parse(text));
    }
    return devices;
}

std::string way_to_free(const Link& link) {
    return id_in_alias(link.alias)
               ? fmt::format("see `tapline libvirt list` for a guest that has it; where none has, "
                             "`tapline delete {}`",
                             link.name)
               : fmt::format("tapline did not make it, see `ip link show {}`: give one of both "
                             "another name",
                             link.name);
}

void check_devices(Netlink& netlink, const std::vector<InterfaceSpec>& devices) {
    std::multimap<int, const InterfaceSpec*> by_parent; // Its index: it may have several names.
    for (const InterfaceSpec& device : devices) {
        check_name(netlink, device); // First: its address is often taken by the same one.
        const Link parent = find_parent(netlink, device);
        check_master(netlink, device, parent);
        check_passthru(netlink, device, parent);
        const auto [begin, end] = by_parent.equal_range(parent.index);
        for (auto other = begin; other != end; ++other) {
            check_pair(device, *other->second);
        }
        by_parent.emplace(parent.index, &device);
    }
}

} // namespace tapline::hooks
