#include "backend/doctor/parent_checks.h"

#include "backend/base/unique_fd.h"
#include "backend/interface_spec.h"
#include "backend/station.h"

#include <fmt/format.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>

namespace tapline::doctor {
namespace {

// Off where the driver knows nothing of it.
bool has_lro(const std::string& name) {
    ethtool_value flags{.cmd = ETHTOOL_GFLAGS};
    ifreq request{};
    std::ranges::copy(name, request.ifr_name);
    request.ifr_data = &flags;
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return ioctl(socket.get(), SIOCETHTOOL, &request) == 0 && (flags.data & ETH_FLAG_LRO) != 0;
}

std::string check_name(const char* what, const Parent& parent) {
    return fmt::format("parent-{} {}", what, parent.name);
}

Check kind_check(const Parent& parent) {
    const std::string name = fmt::format("parent {}", parent.name);
    if (!parent.ethernet) {
        return {.name = name,
                .state = State::broken,
                .detail = "it carries no Ethernet",
                .why = "a macvtap is a second station on an Ethernet",
                .mend = "ip -br link  # Choose an Ethernet interface."};
    }
    if (parent.kind == "tun") {
        return {.name = name,
                .state = State::limited,
                .detail = "a tap device",
                .why = "a program is at its other end, not a wire",
                .mend = "ip -br link  # Choose the interface of the wire."};
    }
    if (parent.stands_on) {
        return {.name = name,
                .state = State::broken,
                .detail = fmt::format("a {} itself", parent.kind),
                .why = "the kernel would put the new device beside it, on the parent of both",
                .mend =
                    parent.stands_on->empty()
                        ? "ip -br link  # In the network namespace of what it stands on."
                        : fmt::format("tapline doctor --parent {}", shell_word(*parent.stands_on))};
    }
    return {.name = name,
            .state = State::ok,
            .detail = fmt::format("Ethernet{}", parent.kind.empty() ? "" : ", " + parent.kind)};
}

Check link_check(const Parent& parent) {
    const std::string name = check_name("link", parent);
    if (!parent.up) {
        return {.name = name,
                .state = State::limited,
                .detail = "down",
                .why = "no frame passes; making a device on it brings it up",
                .mend = fmt::format("ip link set {} up", shell_word(parent.name))};
    }
    if (!parent.carrier) {
        return {.name = name,
                .state = State::limited,
                .detail = "up, without carrier",
                .why = "no frame passes until the other end of the cable is up",
                .mend = fmt::format("ethtool {}  # Then look at the cable and the switch.",
                                    shell_word(parent.name))};
    }
    return {.name = name, .state = State::ok, .detail = "up, with carrier"};
}

// All of them but a VRF take the frames of their ports, as a macvtap does of its parent.
Check master_check(const Parent& parent) {
    const std::string name = check_name("master", parent);
    if (parent.master.empty() || parent.master_kind == "vrf") {
        return {.name = name, .state = State::ok, .detail = "belongs to no bridge, bond or switch"};
    }
    const bool has_a_wire = parent.master_kind == "bond" || parent.master_kind == "team";
    const bool open_vswitch = parent.master_kind == "openvswitch";
    return {.name = name,
            .state = State::broken,
            .detail = fmt::format("belongs to {} '{}'", parent.master_kind, parent.master),
            .why = "the kernel gives the frames of an interface to one taker only",
            .mend =
                has_a_wire ? fmt::format("tapline doctor --parent {}", shell_word(parent.master))
                : open_vswitch ? fmt::format("ovs-vsctl del-port {}", shell_word(parent.name))
                               : fmt::format("ip link set {} nomaster", shell_word(parent.name))};
}

Check wireless_check(const Parent& parent) {
    const std::string name = check_name("wireless", parent);
    if (!parent.wireless) {
        return {.name = name, .state = State::ok, .detail = "wired"};
    }
    return {.name = name,
            .state = State::limited,
            .detail = "wireless",
            .why = "an access point drops frames from an address that did not join it, so only "
                   "mode passthru, with the parent's own address, works",
            .mend =
                fmt::format("tapline create --parent {} --mode passthru", shell_word(parent.name))};
}

Check lro_check(const Parent& parent) {
    const std::string name = check_name("lro", parent);
    if (!parent.lro) {
        return {.name = name, .state = State::ok, .detail = "large receive offload is off"};
    }
    return {.name = name,
            .state = State::limited,
            .detail = "large receive offload is on",
            .why = "frames that were merged lose their sizes: a guest that forwards them breaks "
                   "connections",
            .mend = fmt::format("ethtool -K {} lro off", shell_word(parent.name))};
}

Check mtu_check(const Parent& parent) {
    constexpr uint32_t mtu_of_ipv6 = 1280;
    const std::string name = check_name("mtu", parent);
    const std::string detail = fmt::format("{} bytes", parent.mtu);
    if (parent.mtu >= mtu_of_ipv6) {
        return {.name = name, .state = State::ok, .detail = detail};
    }
    return {.name = name,
            .state = State::limited,
            .detail = detail,
            .why = "guests have no IPv6 below 1280, and theirs is no larger than the parent's",
            .mend = fmt::format("ip link set {} mtu 1500", shell_word(parent.name))};
}

Check passthru_check(const Parent& parent) {
    const std::string name = check_name("passthru", parent);
    if (!parent.passthru) {
        return {.name = name, .state = State::ok, .detail = "no device has it to itself"};
    }
    const MacvtapDevice& device = *parent.passthru;
    return {.name = name,
            .state = State::broken,
            .detail = fmt::format("'{}' in mode passthru has it to itself", device.name),
            .why = "no other device can be made on it",
            .mend = device.ours() ? fmt::format("tapline delete {}", shell_word(device.name))
                                  : fmt::format("ip link delete {}", shell_word(device.name))};
}

} // namespace

std::optional<Parent> look_at_parent(Netlink& netlink, const Host& host, const std::string& name) {
    check_interface_name(name);
    const auto link = netlink.link(name);
    if (!link) {
        return std::nullopt;
    }
    const std::string folder = fmt::format("/sys/class/net/{}", link->name);
    Parent parent{.name = link->name,
                  .kind = link->kind,
                  .ethernet = link->hardware == ARPHRD_ETHER,
                  .up = link->has_flag(IFF_UP),
                  .carrier = link->has_flag(IFF_LOWER_UP),
                  .wireless = host.has(folder + "/phy80211") || host.has(folder + "/wireless"),
                  .lro = has_lro(link->name),
                  .mtu = link->mtu};
    if (is_station(*link) || is_ipvlan(*link)) {
        const auto below =
            link->parent_is_elsewhere ? std::nullopt : netlink.link(link->parent_index);
        parent.stands_on = below ? below->name : "";
    }
    if (const int index = link->master_index; index != 0) {
        const auto master = netlink.link(index);
        parent.master = master ? master->name : fmt::format("index {}", index);
        parent.master_kind = master ? master->kind : "interface";
    }
    for (const MacvtapDevice& device : list_macvtaps(netlink)) {
        if (device.parent == link->name && device.mode == MacvlanMode::passthru) {
            parent.passthru = device;
        }
    }
    return parent;
}

Checks parent_checks(const std::string& name, const std::optional<Parent>& parent) {
    if (!parent) {
        return {{.name = fmt::format("parent {}", name),
                 .state = State::broken,
                 .detail = "no such interface",
                 .why = "a device needs a parent",
                 .mend = "ip -br link  # Choose one of these."}};
    }
    const Check kind = kind_check(*parent);
    if (kind.state == State::broken) {
        return {kind};
    }
    return {kind,
            link_check(*parent),
            master_check(*parent),
            wireless_check(*parent),
            lro_check(*parent),
            mtu_check(*parent),
            passthru_check(*parent)};
}

} // namespace tapline::doctor
