#include "backend/parent.h"

#include "backend/base/error.h"
#include "backend/station.h"

#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>

#include <algorithm>

namespace tapline {
namespace {

template <typename Condition>
std::string name_of_first(const std::vector<Link>& links, Condition condition) {
    const auto found = std::ranges::find_if(links, condition);
    return found == links.end() ? "" : found->name;
}

// Who has the address on this parent; empty for nobody in this network namespace.
std::string holder_of(const MacAddress& mac, Netlink& netlink, const Link& parent) {
    return name_of_first(netlink.links(), [&](const Link& link) {
        return (stands_on(link, parent.index) || link.index == parent.index) && link.mac == mac;
    });
}

std::string passthru_device_on(const Link& parent, Netlink& netlink) {
    return name_of_first(netlink.links(), [&](const Link& link) {
        return is_station(link) && stands_on(link, parent.index) &&
               link.mode == MACVLAN_MODE_PASSTHRU;
    });
}

std::string any_device_on(const Link& parent, Netlink& netlink) {
    return name_of_first(netlink.links(),
                         [&](const Link& link) { return stands_on(link, parent.index); });
}

std::string name_of(int index, Netlink& netlink) {
    const auto link = netlink.link(index);
    return link ? link->name : fmt::format("index {}", index);
}

std::string who_is_busy(Netlink& netlink, const Link& parent) {
    if (parent.master_index != 0) {
        return fmt::format("'{}' is a port of '{}': name that, or take it out", parent.name,
                           name_of(parent.master_index, netlink));
    }
    const std::string user = any_device_on(parent, netlink);
    return user.empty() ? fmt::format("another driver takes the frames of '{}'", parent.name)
                        : fmt::format("'{}' is on the same parent", user);
}

std::string who_shares_passthru(Netlink& netlink, const InterfaceSpec& spec, const Link& parent) {
    if (const std::string owner = passthru_device_on(parent, netlink); !owner.empty()) {
        return fmt::format("'{}' has the parent for itself, in mode passthru", owner);
    }
    const std::string other = any_device_on(parent, netlink);
    return spec.mode() == MacvlanMode::passthru && !other.empty()
               ? fmt::format("mode passthru takes the parent for itself and '{}' is on it", other)
               : "";
}

// The kernel would change that one, too (ipvlan_link_new, drivers/net/ipvlan/ipvlan_main.c).
std::string other_kind_of_ipvlan_on(const Link& parent, const InterfaceSpec& spec,
                                    Netlink& netlink) {
    return name_of_first(netlink.links(), [&](const Link& link) {
        return is_ipvlan(link) && stands_on(link, parent.index) &&
               (link.mode != static_cast<uint32_t>(spec.layer()) ||
                link.kind_flags != ipvlan_flags(spec.mode()));
    });
}

} // namespace

Link find_parent(Netlink& netlink, const InterfaceSpec& spec) {
    const auto refuse = [&](const std::string& cause, const std::string& next_step, int code = 0) {
        throw Error(
            {.operation = fmt::format("create {} on '{}'", to_text(spec.kind()), spec.parent()),
             .cause = cause,
             .next_step = next_step,
             .code = code});
    };
    const auto parent = netlink.link(spec.parent());
    if (!parent) {
        refuse("no such interface", "see `ip link`");
    }
    if (parent->has_flag(IFF_LOOPBACK)) {
        refuse("the loopback interface carries no Ethernet", "name an Ethernet interface");
    }
    if (parent->hardware != ARPHRD_ETHER) { // A tun device, or InfiniBand.
        refuse("it carries no Ethernet", "name an Ethernet interface");
    }
    if (is_station(*parent) || is_ipvlan(*parent)) {
        refuse(fmt::format("it is a {} itself", parent->kind),
               parent->parent_is_elsewhere
                   ? "name the interface it stands on"
                   : fmt::format("name '{}'", name_of(parent->parent_index, netlink)));
    }
    if (spec.mtu().value_or(0) > parent->mtu) {
        refuse(fmt::format("MTU {} is over the parent's {}", *spec.mtu(), parent->mtu),
               "lower it, or raise the parent's first");
    }
    if (spec.kind() == DeviceKind::ipvtap) {
        if (const std::string other = other_kind_of_ipvlan_on(*parent, spec, netlink);
            !other.empty()) {
            refuse(
                fmt::format("'{}' has another mode or layer, which all on a parent share", other),
                "give its --mode and --layer, or another parent");
        }
    }
    if (spec.mac()) { // The kernel compares only with devices that are up.
        if (const std::string holder = holder_of(*spec.mac(), netlink, *parent); !holder.empty()) {
            refuse(fmt::format("'{}' has MAC address {}", holder, spec.mac()->text()),
                   "give another, or none for a random one", EADDRINUSE);
        }
    }
    return *parent;
}

std::string next_step(Netlink& netlink, const InterfaceSpec& spec, const Link& parent, int code) {
    switch (code) {
    case EPERM:
        return "needs CAP_NET_ADMIN: run as root";
    case EEXIST:
        return "an interface has this name: give another --name, or none";
    case EBUSY:
        return who_is_busy(netlink, parent);
    case EINVAL:
        return who_shares_passthru(netlink, spec, parent);
    case EADDRINUSE:
        return "a station of another network namespace has this MAC address";
    case EOPNOTSUPP:
        return fmt::format("the kernel has none: modprobe {}", to_text(spec.kind()));
    default:
        return "";
    }
}

} // namespace tapline
