#include "backend/macvtap_device.h"

#include "backend/allowed_macs.h"
#include "backend/base/error.h"
#include "backend/multicast_filter.h"
#include "backend/parent.h"

#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_link.h>

#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <utility>

namespace tapline {
namespace {

constexpr unsigned random_mac_tries_max = 8;
// The kernel puts in the first free number.
constexpr auto automatic_name = "tl%d";
constexpr uint8_t addr_gen_mode_none = 1; // IN6_ADDR_GEN_MODE_NONE, linux/if_link.h

bool is_macvtap(const Link& link) {
    return link.kind == "macvtap" || link.kind == "ipvtap";
}

MacvlanMode mode_of_ipvtap(uint16_t flags) {
    return (flags & IPVLAN_F_PRIVATE) != 0 ? MacvlanMode::private_mode
           : (flags & IPVLAN_F_VEPA) != 0  ? MacvlanMode::vepa
                                           : MacvlanMode::bridge;
}

MacvtapDevice describe(const Link& link, const std::string& parent) {
    const bool ipvtap = link.kind == "ipvtap";
    return {.name = link.name,
            .index = link.index,
            .kind = ipvtap ? DeviceKind::ipvtap : DeviceKind::macvtap,
            .parent = parent,
            .mode = ipvtap ? mode_of_ipvtap(link.kind_flags) : static_cast<MacvlanMode>(link.mode),
            .promiscuity = !ipvtap && (link.kind_flags & MACVLAN_FLAG_NOPROMISC) != 0
                               ? Promiscuity::unchanged
                               : Promiscuity::promiscuous,
            .layer = ipvtap ? static_cast<IpvlanLayer>(link.mode) : IpvlanLayer::l2,
            .mac = link.mac.value_or(MacAddress({})),
            .mtu = link.mtu,
            .queue_length = link.queue_length,
            .broadcast_queue_length = link.broadcast_queue_length,
            .allowed_macs = link.allowed_macs,
            .up = link.has_flag(IFF_UP),
            .record_id = id_in_alias(link.alias),
            .group = link.group};
}

void expect_done(Netlink& netlink, const Netlink::Answer& answer, const std::string& operation,
                 const InterfaceSpec& spec, const Link& parent) {
    if (answer.refusal) {
        throw Error({.operation = operation,
                     .cause = answer.refusal->text,
                     .next_step = next_step(netlink, spec, parent, answer.refusal->code),
                     .code = answer.refusal->code});
    }
}

void put_macvtap(LinkRequest& request, const InterfaceSpec& spec) {
    request.put(IFLA_MACVLAN_MODE, static_cast<uint32_t>(spec.mode()));
    if (spec.promiscuity() == Promiscuity::unchanged) {
        request.put(IFLA_MACVLAN_FLAGS, uint16_t{MACVLAN_FLAG_NOPROMISC});
    }
    if (spec.broadcast_queue_length()) {
        request.put(IFLA_MACVLAN_BC_QUEUE_LEN, *spec.broadcast_queue_length());
    }
    if (!spec.allowed_macs().empty()) {
        put_allowed_macs(request, spec.allowed_macs());
    }
}

LinkRequest request_for(const InterfaceSpec& spec, const Link& parent, uint32_t id) {
    LinkRequest request = LinkRequest::create();
    request.put(IFLA_IFNAME, spec.name().value_or(automatic_name));
    request.put(IFLA_LINK, static_cast<uint32_t>(parent.index));
    request.put(IFLA_GROUP, id); // The alias cannot be given at creation; a crash may come before.
    request.put(IFLA_TXQLEN, spec.queue_length());
    if (spec.mtu()) {
        request.put(IFLA_MTU, *spec.mtu());
    }
    if (spec.kind() == DeviceKind::macvtap && spec.mode() != MacvlanMode::passthru) {
        // At creation: udev's MACAddressPolicy then leaves it alone.
        request.put(IFLA_ADDRESS, spec.mac() ? *spec.mac() : MacAddress::random());
    }
    const auto info = request.nest(IFLA_LINKINFO);
    request.put(IFLA_INFO_KIND, to_text(spec.kind()));
    const auto data = request.nest(IFLA_INFO_DATA);
    switch (spec.kind()) {
    case DeviceKind::macvtap:
        put_macvtap(request, spec);
        break;
    case DeviceKind::ipvtap:
        request.put(IFLA_IPVLAN_MODE, static_cast<uint16_t>(spec.layer()));
        request.put(IFLA_IPVLAN_FLAGS, ipvlan_flags(spec.mode()));
        break;
    }
    return request;
}

std::string creation_of(const InterfaceSpec& spec) {
    const std::string name = spec.name() ? fmt::format(" '{}'", *spec.name()) : "";
    return fmt::format("create {}{} on '{}'", to_text(spec.kind()), name, spec.parent());
}

std::optional<MacvtapDevice> find_recorded(Netlink& netlink, uint32_t id) {
    const std::vector<MacvtapDevice> devices = list_macvtaps(netlink);
    const auto found = std::ranges::find_if(
        devices, [&](const MacvtapDevice& device) { return device.is_recorded_as(id); });
    return found == devices.end() ? std::nullopt : std::optional(*found);
}

MacvtapDevice add_link(Netlink& netlink, const InterfaceSpec& spec, const Link& parent,
                       uint32_t id) {
    const auto answer = netlink.request(request_for(spec, parent, id));
    expect_done(netlink, answer, creation_of(spec), spec, parent);
    if (!answer.links.empty()) {
        return describe(answer.links.front(), parent.name);
    }
    const auto made = find_recorded(netlink, id); // Before Linux 6.2 the kernel does not tell.
    if (!made) {
        throw Error({.operation = creation_of(spec), .cause = "somebody else deleted it at once"});
    }
    return *made;
}

enum class HostIpv6 { off, absent };

LinkRequest mark(int index, MulticastPolicy multicast, uint32_t id, HostIpv6 ipv6) {
    LinkRequest request =
        LinkRequest::change(index, multicast == MulticastPolicy::all ? IFF_ALLMULTI : 0);
    request.put(IFLA_IFALIAS, device_alias(id));
    request.put(IFLA_GROUP, uint32_t{0});
    if (ipv6 == HostIpv6::off) { // The address is the guest's: the host shall not speak with it.
        const auto families = request.nest(IFLA_AF_SPEC);
        const auto inet6 = request.nest(AF_INET6);
        request.put(IFLA_INET6_ADDR_GEN_MODE, addr_gen_mode_none);
    }
    return request;
}

// With an MTU below IPv6's 1280, or without IPv6 at all, the device has none to be kept off.
Netlink::Answer mark(Netlink& netlink, int index, MulticastPolicy multicast, uint32_t id) {
    Netlink::Answer answer = netlink.request(mark(index, multicast, id, HostIpv6::off));
    return answer.refusal && answer.refusal->code == EAFNOSUPPORT
               ? netlink.request(mark(index, multicast, id, HostIpv6::absent))
               : answer;
}

MacvtapDevice describe(Netlink& netlink, const Link& link) {
    const auto parent = link.parent_is_elsewhere ? std::nullopt : netlink.link(link.parent_index);
    return describe(link, parent ? parent->name : "");
}

MacvtapDevice look_again(Netlink& netlink, const MacvtapDevice& made,
                         const std::string& operation) {
    const auto link = netlink.link(made.index);
    if (!link) {
        throw Error({.operation = operation, .cause = "somebody else deleted it at once"});
    }
    return describe(*link, made.parent);
}

void delete_link(Netlink& netlink, int index, const std::string& name) {
    const auto refusal = netlink.request(LinkRequest::remove(index)).refusal;
    if (refusal && refusal->code != ENODEV) {
        throw Error({.operation = fmt::format("delete macvtap '{}'", name),
                     .cause = refusal->text,
                     .next_step = refusal->code == EPERM ? "run as root" : "",
                     .code = refusal->code});
    }
}

} // namespace

std::vector<MacvtapDevice> list_macvtaps(Netlink& netlink) {
    const std::vector<Link> links = netlink.links();
    std::map<int, std::string> names;
    for (const Link& link : links) {
        names.emplace(link.index, link.name);
    }
    std::vector<MacvtapDevice> devices;
    for (const Link& link : links) {
        if (is_macvtap(link)) {
            devices.push_back(
                describe(link, link.parent_is_elsewhere ? "" : names[link.parent_index]));
        }
    }
    return devices;
}

MacvtapDevice find_macvtap(Netlink& netlink, const std::string& name) {
    check_interface_name(name);
    const auto link = netlink.link(name);
    if (!link || !is_macvtap(*link)) {
        throw Error({.operation = fmt::format("find macvtap '{}'", name),
                     .cause = link ? "the interface is no macvtap" : "no such interface",
                     .next_step = "see `tapline list`"});
    }
    return describe(netlink, *link);
}

MacvtapDevice find_our_macvtap(Netlink& netlink, const std::string& name,
                               const std::string& operation) {
    MacvtapDevice device = find_macvtap(netlink, name);
    if (!device.ours()) {
        throw Error(
            {.operation = fmt::format("{} macvtap '{}'", operation, name),
             .cause = "tapline did not create it",
             .next_step = "use ip link; what was made halfway goes with `tapline reconcile`"});
    }
    return device;
}

void delete_macvtap(Netlink& netlink, const MacvtapDevice& device) {
    delete_link(netlink, device.index, device.name);
    if (device.record_id) {
        erase_device_record(*device.record_id);
    }
}

// A random address may be one that another station has: then it is another one's turn.
OwnedMacvtap OwnedMacvtap::create(Netlink& netlink, const InterfaceSpec& spec) {
    for (unsigned tries = 1; tries < random_mac_tries_max && !spec.mac(); ++tries) {
        try {
            return create_once(netlink, spec);
        } catch (const Error& error) {
            if (error.code() != EADDRINUSE) {
                throw;
            }
        }
    }
    return create_once(netlink, spec);
}

OwnedMacvtap OwnedMacvtap::create_once(Netlink& netlink, const InterfaceSpec& spec) {
    const Link parent = find_parent(netlink, spec);
    OwnedMacvtap owned(netlink, DeviceRecord::create(spec.parent()));
    const uint32_t id = owned.record_.id();
    owned.device_ = add_link(netlink, spec, parent, id);
    const MacvtapDevice& device = owned.device_;
    expect_done(netlink, mark(netlink, device.index, spec.multicast(), id),
                fmt::format("mark '{}' as ours", device.name), spec, parent);
    if (spec.multicast() == MulticastPolicy::none) {
        add_multicast_filter(netlink, device);
    }
    expect_done(netlink, netlink.request(LinkRequest::change(device.index, IFF_UP)),
                fmt::format("bring up '{}'", device.name), spec, parent);
    if (!parent.has_flag(IFF_UP)) { // Last: nothing would undo it.
        expect_done(netlink, netlink.request(LinkRequest::change(parent.index, IFF_UP)),
                    fmt::format("bring up '{}'", spec.parent()), spec, parent);
    }
    owned.device_ = look_again(netlink, device, creation_of(spec));
    return owned;
}

bool is_gone(Netlink& netlink, const MacvtapDevice& device) {
    try {
        return !netlink.link(device.index);
    } catch (const Error&) { // No answer; what may be in use shall not end for that.
        return false;
    }
}

OwnedMacvtap::OwnedMacvtap(OwnedMacvtap&& other) noexcept
    : netlink_(std::exchange(other.netlink_, nullptr)),
      record_(std::move(other.record_)),
      device_(std::move(other.device_)) {}

void OwnedMacvtap::keep() {
    record_.keep();
    netlink_ = nullptr;
}

OwnedMacvtap::~OwnedMacvtap() {
    if (netlink_ == nullptr) {
        return;
    }
    try {
        if (device_.index == 0) { // Refused, or made and then not found.
            device_ = find_recorded(*netlink_, record_.id()).value_or(MacvtapDevice{});
        }
        if (device_.index != 0) {
            delete_link(*netlink_, device_.index, device_.name);
        }
        record_.erase();
    } catch (const std::exception&) { // A destructor has nobody to tell; `tapline reconcile` will.
    }
}

} // namespace tapline
