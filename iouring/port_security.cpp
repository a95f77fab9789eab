#include "iouring/port_security.h"

#include <linux/if_ether.h>
#include <netinet/in.h>

#include <algorithm>
#include <utility>

namespace tapline {
namespace {

using Refusal = std::optional<Drop>;

constexpr unsigned vlan_tags_max = 2;
constexpr uint16_t qinq_before_802_1ad[] = {0x9100, 0x9200};

constexpr size_t arp_bytes = 28; // Of IPv4 over Ethernet.
constexpr size_t ipv4_bytes_min = 20;
constexpr size_t ipv6_bytes = 40;
constexpr size_t fragment_bytes = 8;
constexpr size_t neighbour_bytes = 24; // Of a neighbour's message, with the target.

constexpr uint16_t dhcp_server_port = 67;
constexpr uint16_t dhcp_client_port = 68;
constexpr uint16_t dhcpv6_client_port = 546;
constexpr uint16_t dhcpv6_server_port = 547;

enum Icmpv6 : uint8_t { // RFC 4861.
    router_advertisement = 134,
    neighbour_solicitation = 135,
    neighbour_advertisement = 136,
};

constexpr IpPrefix::Bytes unspecified{};

bool is_vlan(uint16_t type) {
    return type == ETH_P_8021Q || type == ETH_P_8021AD ||
           std::ranges::find(qinq_before_802_1ad, type) != std::end(qinq_before_802_1ad);
}

// RFC 4291, appendix A.
IpPrefix link_local_of(const MacAddress& mac) {
    const auto& m = mac.bytes();
    const auto universal = static_cast<uint8_t>(m[0] ^ 2);
    return {IpFamily::v6,
            {0xfe, 0x80, 0, 0, 0, 0, 0, 0, universal, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]},
            128};
}

// A frame on its way from the front to where nothing more can be claimed.
class Inspection {
public:
    Inspection(const PortSecurity::Rules& rules, std::span<const std::byte> frame)
        : rules_(rules), frame_(frame) {}

    Refusal ethernet() noexcept;
    // Behind all that was decided by.
    size_t end() const { return end_; }

private:
    struct Network { // What the transport is carried by.
        IpFamily family;
        bool unspecified_source;
    };

    Refusal network(uint16_t type, size_t at) noexcept;
    Refusal arp(size_t at) noexcept;
    Refusal ipv4(size_t at) noexcept;
    Refusal ipv6(size_t at) noexcept;
    Refusal transport(uint8_t protocol, size_t at, const Network& network) noexcept;
    Refusal udp(size_t at, const Network& network) noexcept;
    Refusal icmpv6(size_t at, const Network& network) noexcept;

    // Padding behind a packet is no part of it. Senders of segments still to be cut may leave the
    // length 0, receivers take no such packet.
    void end_packet(size_t at) noexcept { frame_ = frame_.first(std::min(at, frame_.size())); }
    bool holds(size_t at, size_t bytes) noexcept {
        end_ = std::max(end_, at + bytes);
        return at + bytes <= frame_.size();
    }
    uint8_t byte(size_t at) const { return std::to_integer<uint8_t>(frame_[at]); }
    uint16_t number(size_t at) const { return static_cast<uint16_t>(byte(at) << 8 | byte(at + 1)); }
    template <typename Bytes> Bytes bytes(size_t at, size_t count) const {
        Bytes result{};
        std::ranges::copy(frame_.subspan(at, count),
                          std::as_writable_bytes(std::span(result)).begin());
        return result;
    }
    IpPrefix::Bytes ipv4_address(size_t at) const { return bytes<IpPrefix::Bytes>(at, 4); }
    IpPrefix::Bytes ipv6_address(size_t at) const { return bytes<IpPrefix::Bytes>(at, 16); }

    bool allows_mac(size_t at) const {
        const MacAddress mac(bytes<MacAddress::Bytes>(at, ETH_ALEN));
        return rules_.macs.empty() || std::ranges::binary_search(rules_.macs, mac);
    }
    bool allows(IpFamily family, const IpPrefix::Bytes& address) const {
        return rules_.addresses.empty() ||
               std::ranges::any_of(rules_.addresses, [&](const IpPrefix& allowed) {
                   return allowed.contains(family, address);
               });
    }
    // Packets that say whose they are not may only be of the kinds that begin an address.
    bool restricted(const Network& network) const {
        return network.unspecified_source && !rules_.addresses.empty();
    }

    const PortSecurity::Rules& rules_;
    std::span<const std::byte> frame_;
    size_t end_ = ETH_HLEN;
};

// Behind VLAN tags and the 802.2 header with which some receivers take what others do not see.
Refusal Inspection::ethernet() noexcept {
    if (!allows_mac(ETH_ALEN)) {
        return Drop::spoofed_mac;
    }
    bool in_snap = false;
    unsigned tags = 0;
    size_t at = offsetof(ethhdr, h_proto);
    while (holds(at, 2)) {
        const uint16_t type = number(at);
        at += 2;
        if (is_vlan(type)) {
            if (++tags > vlan_tags_max) {
                return Drop::unreadable;
            }
            at += 2;
        } else if (type >= ETH_P_802_3_MIN || in_snap) {
            return network(type, at);
        } else {
            constexpr uint8_t snap = 0xaa;
            if (!holds(at, 3)) {
                return std::nullopt; // Too short for a packet within.
            }
            if ((byte(at) & 0xfe) != snap) {
                return std::nullopt;
            }
            if (number(at) != (snap << 8 | snap) || byte(at + 2) != 3) {
                return Drop::unreadable;
            }
            in_snap = true;
            at += 3 + 3; // With whose numbers the type is from.
        }
    }
    return Drop::unreadable;
}

Refusal Inspection::network(uint16_t type, size_t at) noexcept {
    switch (type) {
    case ETH_P_ARP:
    case ETH_P_RARP:
        return arp(at);
    case ETH_P_IP:
        return ipv4(at);
    case ETH_P_IPV6:
        return ipv6(at);
    default:
        return std::nullopt;
    }
}

Refusal Inspection::arp(size_t at) noexcept {
    constexpr uint16_t ethernet = 1;
    if (!holds(at, arp_bytes) || number(at) != ethernet || number(at + 2) != ETH_P_IP ||
        byte(at + 4) != ETH_ALEN || byte(at + 5) != sizeof(in_addr)) {
        return Drop::unreadable;
    }
    if (!allows_mac(at + 8)) {
        return Drop::spoofed_mac;
    }
    const auto sender = ipv4_address(at + 14);
    const auto target = ipv4_address(at + 24);
    // RFC 5227: a probe, which keeps others from the address it asks for.
    const auto& claimed = sender == unspecified ? target : sender;
    return claimed == unspecified || allows(IpFamily::v4, claimed) ? Refusal() : Drop::spoofed_ip;
}

Refusal Inspection::ipv4(size_t at) noexcept {
    if (!holds(at, ipv4_bytes_min) || byte(at) >> 4 != 4) {
        return Drop::unreadable;
    }
    const size_t header_bytes = 4u * (byte(at) & 0xf);
    if (const uint16_t length = number(at + 2); length != 0) {
        end_packet(at + length);
    }
    if (header_bytes < ipv4_bytes_min || !holds(at, header_bytes)) {
        return Drop::unreadable;
    }
    const auto source = ipv4_address(at + 12);
    const Network network{.family = IpFamily::v4, .unspecified_source = source == unspecified};
    if (!network.unspecified_source && !allows(IpFamily::v4, source)) {
        return Drop::spoofed_ip;
    }
    constexpr uint16_t fragment_offset = 0x1fff;
    if ((number(at + 6) & fragment_offset) != 0) { // All was decided with the first one.
        return restricted(network) ? Drop::spoofed_ip : Refusal();
    }
    return transport(byte(at + 9), at + header_bytes, network);
}

Refusal Inspection::ipv6(size_t at) noexcept {
    if (!holds(at, ipv6_bytes) || byte(at) >> 4 != 6) {
        return Drop::unreadable;
    }
    const auto source = ipv6_address(at + 8);
    const Network network{.family = IpFamily::v6, .unspecified_source = source == unspecified};
    if (!network.unspecified_source && !allows(IpFamily::v6, source)) {
        return Drop::spoofed_ip;
    }
    uint8_t next = byte(at + 6);
    if (const uint16_t length = number(at + 4); length != 0) {
        end_packet(at + ipv6_bytes + length);
    }
    at += ipv6_bytes;
    bool fragment = false;
    while (true) { // Each extension header takes bytes off.
        size_t bytes = 0;
        switch (next) {
        case IPPROTO_HOPOPTS:
        case IPPROTO_ROUTING:
        case IPPROTO_DSTOPTS:
        case IPPROTO_MH:
        case IPPROTO_AH:
            if (!holds(at, 2)) {
                return Drop::unreadable;
            }
            bytes = next == IPPROTO_AH ? 4u * (byte(at + 1) + 2u) : 8u * (byte(at + 1) + 1u);
            break;
        case IPPROTO_FRAGMENT:
            if (!holds(at, fragment_bytes) || std::exchange(fragment, true)) {
                return Drop::unreadable;
            }
            if (constexpr uint16_t offset = 0xfff8; (number(at + 2) & offset) != 0) {
                return restricted(network) ? Drop::spoofed_ip : Refusal();
            }
            bytes = fragment_bytes;
            break;
        default:
            return transport(next, at, network);
        }
        if (!holds(at, bytes)) {
            return Drop::unreadable;
        }
        next = byte(at);
        at += bytes;
    }
}

Refusal Inspection::transport(uint8_t protocol, size_t at, const Network& network) noexcept {
    if (protocol == IPPROTO_UDP) {
        return udp(at, network);
    }
    if (protocol == IPPROTO_ICMPV6 && network.family == IpFamily::v6) {
        return icmpv6(at, network);
    }
    return restricted(network) ? Drop::spoofed_ip : Refusal();
}

Refusal Inspection::udp(size_t at, const Network& network) noexcept {
    if (!holds(at, 4)) {
        return Drop::unreadable;
    }
    const bool v4 = network.family == IpFamily::v4;
    const uint16_t source = number(at);
    const uint16_t destination = number(at + 2);
    // Many clients take an answer from any port.
    if (!rules_.dhcp_server && (source == (v4 ? dhcp_server_port : dhcpv6_server_port) ||
                                destination == (v4 ? dhcp_client_port : dhcpv6_client_port))) {
        return Drop::dhcp_answer;
    }
    const bool discovers = v4 && destination == dhcp_server_port;
    return restricted(network) && !discovers ? Drop::spoofed_ip : Refusal();
}

Refusal Inspection::icmpv6(size_t at, const Network& network) noexcept {
    if (!holds(at, 2)) {
        return Drop::unreadable;
    }
    const uint8_t type = byte(at);
    if (type == router_advertisement && !rules_.router_advertisements) {
        return Drop::router_advertisement;
    }
    // RFC 4862, 5.4: from nobody it keeps others from the address it asks for.
    const bool claims = type == neighbour_advertisement ||
                        (type == neighbour_solicitation && network.unspecified_source);
    if (!claims || rules_.addresses.empty()) {
        return std::nullopt;
    }
    if (!holds(at, neighbour_bytes)) {
        return Drop::unreadable;
    }
    return allows(IpFamily::v6, ipv6_address(at + 8)) ? Refusal() : Drop::spoofed_ip;
}

} // namespace

PortSecurity::PortSecurity(Rules rules, const MacAddress& own) : rules_(std::move(rules)) {
    auto& macs = rules_.macs;
    if (rules_.own_mac) {
        macs.push_back(own);
    }
    std::ranges::sort(macs);
    if (rules_.addresses.empty()) {
        return;
    }
    for (const MacAddress& mac : macs.empty() ? std::vector{own} : macs) {
        rules_.addresses.push_back(link_local_of(mac));
    }
}

std::optional<Drop> PortSecurity::refusal(const VirtioNetHeader& header,
                                          std::span<const std::byte> frame) const noexcept {
    Inspection inspection(rules_, frame);
    if (const auto refusal = inspection.ethernet()) {
        return refusal;
    }
    // The checksum that is still to be written must not change what was looked at.
    if ((header.flags & VirtioNetHeader::needs_checksum) != 0 &&
        size_t{header.checksum_start} + header.checksum_offset < inspection.end()) {
        return Drop::unreadable;
    }
    return std::nullopt;
}

} // namespace tapline
