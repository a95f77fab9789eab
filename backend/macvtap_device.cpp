#include "backend/macvtap_device.h"

#include "backend/base/error.h"

#include <fmt/format.h>
#include <linux/if.h>
#include <netlink/addr.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/link/macvtap.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

namespace tapline {
namespace {

constexpr std::string_view alias_mark = "tapline";
constexpr unsigned name_tries_max = 4096;

bool is_macvtap(rtnl_link* link) {
    const char* type = rtnl_link_get_type(link);
    return type != nullptr && std::strcmp(type, "macvtap") == 0;
}

MacAddress hardware_address(rtnl_link* link) {
    MacAddress::Bytes bytes{};
    const nl_addr* address = rtnl_link_get_addr(link);
    if (address != nullptr && nl_addr_get_len(address) == bytes.size()) {
        std::memcpy(bytes.data(), nl_addr_get_binary_addr(address), bytes.size());
    }
    return MacAddress(bytes);
}

// all: every link of the namespace, to name the parent.
MacvtapDevice describe(rtnl_link* link, nl_cache* all) {
    int32_t other_namespace = 0;
    const bool parent_is_here = rtnl_link_get_link_netnsid(link, &other_namespace) < 0;
    const RtnlLink parent(parent_is_here ? rtnl_link_get(all, rtnl_link_get_link(link)) : nullptr,
                          rtnl_link_put);
    const char* alias = rtnl_link_get_ifalias(link);
    return {.name = rtnl_link_get_name(link),
            .index = rtnl_link_get_ifindex(link),
            .parent = parent ? rtnl_link_get_name(parent.get()) : "",
            .mode = static_cast<MacvlanMode>(rtnl_link_macvtap_get_mode(link)),
            .mac = hardware_address(link),
            .mtu = rtnl_link_get_mtu(link),
            .queue_length = rtnl_link_get_txqlen(link),
            .up = (rtnl_link_get_flags(link) & IFF_UP) != 0,
            .ours = alias != nullptr && alias == alias_mark};
}

const char* next_step(int code) {
    switch (code) {
    case EPERM:
        return "needs CAP_NET_ADMIN: run as root";
    case EBUSY:
        return "the parent belongs to a bridge or bond, or has a passthru device";
    case EINVAL:
        return "a device in mode passthru shares its parent with no other";
    case EADDRINUSE:
        return "another station on the parent has this MAC address";
    case EOPNOTSUPP:
        return "the kernel has no macvtap: modprobe macvtap";
    default:
        return "";
    }
}

[[noreturn]] void refuse(std::string operation, const Netlink::Refusal& refusal) {
    throw Error({.operation = std::move(operation),
                 .cause = refusal.text,
                 .next_step = next_step(refusal.code),
                 .code = refusal.code});
}

RtnlLink find_parent(Netlink& netlink, const InterfaceSpec& spec) {
    RtnlLink parent = netlink.link(spec.parent());
    if (!parent) {
        throw Error({.operation = fmt::format("create macvtap on '{}'", spec.parent()),
                     .cause = "no such interface",
                     .next_step = "see `ip link`"});
    }
    if ((rtnl_link_get_flags(parent.get()) & IFF_LOOPBACK) != 0) {
        throw Error({.operation = fmt::format("create macvtap on '{}'", spec.parent()),
                     .cause = "the loopback interface carries no Ethernet",
                     .next_step = "name an Ethernet interface"});
    }
    if (spec.mtu().value_or(0) > rtnl_link_get_mtu(parent.get())) {
        throw Error({.operation = fmt::format("create macvtap on '{}'", spec.parent()),
                     .cause = fmt::format("MTU {} is over the parent's {}", *spec.mtu(),
                                          rtnl_link_get_mtu(parent.get())),
                     .next_step = "lower it, or raise the parent's first"});
    }
    return parent;
}

RtnlLink request_for(const InterfaceSpec& spec, int parent_index) {
    RtnlLink link(rtnl_link_macvtap_alloc(), rtnl_link_put);
    rtnl_link_set_link(link.get(), parent_index);
    rtnl_link_macvtap_set_mode(link.get(), static_cast<uint32_t>(spec.mode()));
    rtnl_link_set_txqlen(link.get(), spec.queue_length());
    if (spec.mtu()) {
        rtnl_link_set_mtu(link.get(), *spec.mtu());
    }
    // Set at creation: udev's MACAddressPolicy then leaves it alone.
    nl_addr* address = nl_addr_build(AF_LLC, spec.mac().bytes().data(), spec.mac().bytes().size());
    rtnl_link_set_addr(link.get(), address);
    nl_addr_put(address);
    return link;
}

// The name is ours to choose where the spec has none: the first tlN that nobody has.
std::string add_link(Netlink& netlink, const InterfaceSpec& spec, int parent_index) {
    const RtnlLink link = request_for(spec, parent_index);
    for (unsigned number = 0; number < name_tries_max; ++number) {
        const std::string name = spec.name() ? *spec.name() : fmt::format("tl{}", number);
        rtnl_link_set_name(link.get(), name.c_str());
        const auto refusal = netlink.add_link(link.get());
        if (!refusal) {
            return name;
        }
        if (refusal->code != EEXIST || spec.name()) {
            refuse(fmt::format("create macvtap '{}' on '{}'", name, spec.parent()), *refusal);
        }
    }
    throw Error({.operation = fmt::format("create macvtap on '{}'", spec.parent()),
                 .cause = fmt::format("tl0 to tl{} are all taken", name_tries_max - 1),
                 .next_step = "choose a name"});
}

void change(Netlink& netlink, int index, rtnl_link* changes, const std::string& operation) {
    const RtnlLink link = make_rtnl_link();
    rtnl_link_set_ifindex(link.get(), index);
    if (const auto refusal = netlink.change_link(link.get(), changes)) {
        refuse(operation, *refusal);
    }
}

void bring_up(Netlink& netlink, const std::string& name, int index) {
    const RtnlLink changes = make_rtnl_link();
    rtnl_link_set_flags(changes.get(), IFF_UP);
    change(netlink, index, changes.get(), fmt::format("bring up '{}'", name));
}

void mark(Netlink& netlink, const MacvtapDevice& device, MulticastPolicy multicast) {
    const RtnlLink changes = make_rtnl_link();
    rtnl_link_set_ifalias(changes.get(), alias_mark.data());
    // The address is the guest's: the host shall not speak IPv6 with it. In one request with
    // IFF_UP this would come too late.
    rtnl_link_inet6_set_addr_gen_mode(changes.get(), rtnl_link_inet6_str2addrgenmode("none"));
    if (multicast == MulticastPolicy::all) {
        rtnl_link_set_flags(changes.get(), IFF_ALLMULTI);
    }
    change(netlink, device.index, changes.get(), fmt::format("mark '{}' as ours", device.name));
}

void refuse_what_is_not_built(const InterfaceSpec& spec) {
    const char* what = spec.kind() == DeviceKind::ipvtap           ? "kind ipvtap"
                       : spec.mode() == MacvlanMode::source        ? "mode source"
                       : spec.multicast() == MulticastPolicy::none ? "multicast policy none"
                                                                   : nullptr;
    if (what != nullptr) {
        throw Error({.operation = fmt::format("create device on '{}'", spec.parent()),
                     .cause = fmt::format("{} is not supported yet", what)});
    }
}

} // namespace

std::vector<MacvtapDevice> list_macvtaps(Netlink& netlink) {
    const RtnlLinkCache all = netlink.links();
    std::vector<MacvtapDevice> devices;
    for (nl_object* entry = nl_cache_get_first(all.get()); entry != nullptr;
         entry = nl_cache_get_next(entry)) {
        auto* link = reinterpret_cast<rtnl_link*>(entry);
        if (is_macvtap(link)) {
            devices.push_back(describe(link, all.get()));
        }
    }
    return devices;
}

MacvtapDevice find_macvtap(Netlink& netlink, const std::string& name) {
    const RtnlLinkCache all = netlink.links();
    const RtnlLink link(rtnl_link_get_by_name(all.get(), name.c_str()), rtnl_link_put);
    if (!link || !is_macvtap(link.get())) {
        throw Error({.operation = fmt::format("find macvtap '{}'", name),
                     .cause = link ? "the interface is no macvtap" : "no such interface",
                     .next_step = "see `tapline list`"});
    }
    return describe(link.get(), all.get());
}

void delete_macvtap(Netlink& netlink, const MacvtapDevice& device) {
    const RtnlLink link = make_rtnl_link();
    if (device.index != 0) {
        rtnl_link_set_ifindex(link.get(), device.index);
    } else {
        rtnl_link_set_name(link.get(), device.name.c_str());
    }
    const auto refusal = netlink.delete_link(link.get());
    if (refusal && refusal->code != ENODEV) {
        refuse(fmt::format("delete macvtap '{}'", device.name), *refusal);
    }
}

OwnedMacvtap OwnedMacvtap::create(Netlink& netlink, const InterfaceSpec& spec) {
    refuse_what_is_not_built(spec);
    const RtnlLink parent = find_parent(netlink, spec);
    const int parent_index = rtnl_link_get_ifindex(parent.get());
    const std::string name = add_link(netlink, spec, parent_index);
    OwnedMacvtap owned(netlink, {.name = name, .mac = spec.mac()}); // Owned before it is known.
    owned.device_ = find_macvtap(netlink, name);
    mark(netlink, owned.device_, spec.multicast());
    bring_up(netlink, name, owned.device_.index);
    if ((rtnl_link_get_flags(parent.get()) & IFF_UP) == 0) { // Last: nothing would undo it.
        bring_up(netlink, spec.parent(), parent_index);
    }
    owned.device_ = find_macvtap(netlink, name);
    return owned;
}

OwnedMacvtap::OwnedMacvtap(OwnedMacvtap&& other) noexcept
    : netlink_(std::exchange(other.netlink_, nullptr)), device_(std::move(other.device_)) {}

OwnedMacvtap::~OwnedMacvtap() {
    if (netlink_ == nullptr) {
        return;
    }
    try {
        delete_macvtap(*netlink_, device_);
    } catch (const Error&) { // A destructor has nobody to tell; `tapline list` shows what is left.
    }
}

} // namespace tapline
