#include "backend/link.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace tapline {
namespace {

template <size_t n> using Attributes = std::array<nlattr*, n>;

template <typename Number> Number number_in(const nlattr* attribute) {
    Number value{};
    if (attribute != nullptr && nla_len(attribute) >= static_cast<int>(sizeof value)) {
        std::memcpy(&value, nla_data(attribute), sizeof value);
    }
    return value;
}

std::string text_in(const nlattr* attribute) {
    if (attribute == nullptr) {
        return {};
    }
    const auto* text = static_cast<const char*>(nla_data(attribute));
    return {text, strnlen(text, static_cast<size_t>(nla_len(attribute)))};
}

std::optional<MacAddress> mac_in(const nlattr* attribute) {
    MacAddress::Bytes bytes{};
    if (attribute == nullptr || nla_len(attribute) != static_cast<int>(bytes.size())) {
        return std::nullopt;
    }
    std::memcpy(bytes.data(), nla_data(attribute), bytes.size());
    return MacAddress(bytes);
}

// The length of an attribute's contents counts, not what its header says its type is.
template <size_t n> Attributes<n> nested_in(nlattr* attribute) {
    Attributes<n> parts{};
    if (attribute == nullptr ||
        nla_parse(parts.data(), static_cast<int>(n) - 1, static_cast<nlattr*>(nla_data(attribute)),
                  nla_len(attribute), nullptr) < 0) {
        parts.fill(nullptr);
    }
    return parts;
}

void read_macvlan(Link& link, nlattr* data) {
    const auto parts = nested_in<IFLA_MACVLAN_MAX + 1>(data);
    link.mode = number_in<uint32_t>(parts[IFLA_MACVLAN_MODE]);
    link.kind_flags = number_in<uint16_t>(parts[IFLA_MACVLAN_FLAGS]);
    link.broadcast_queue_length = number_in<uint32_t>(parts[IFLA_MACVLAN_BC_QUEUE_LEN]);
    nlattr* addresses = parts[IFLA_MACVLAN_MACADDR_DATA];
    if (addresses == nullptr) {
        return;
    }
    nlattr* entry = static_cast<nlattr*>(nla_data(addresses));
    int remaining = nla_len(addresses);
    for (; nla_ok(entry, remaining) != 0; entry = nla_next(entry, &remaining)) {
        if (const auto mac = mac_in(entry)) {
            link.allowed_macs.push_back(*mac);
        }
    }
    std::ranges::sort(link.allowed_macs); // The kernel's order is that of a hash table.
}

void read_ipvlan(Link& link, nlattr* data) {
    const auto parts = nested_in<IFLA_IPVLAN_MAX + 1>(data);
    link.mode = number_in<uint16_t>(parts[IFLA_IPVLAN_MODE]);
    link.kind_flags = number_in<uint16_t>(parts[IFLA_IPVLAN_FLAGS]);
}

} // namespace

std::optional<Link> parse_link(const nlmsghdr* message) {
    Attributes<IFLA_MAX + 1> parts{};
    if (message->nlmsg_type != RTM_NEWLINK ||
        nlmsg_parse(const_cast<nlmsghdr*>(message), sizeof(ifinfomsg), parts.data(), IFLA_MAX,
                    nullptr) < 0) {
        return std::nullopt;
    }
    const auto* head = static_cast<const ifinfomsg*>(nlmsg_data(message));
    Link link{.index = head->ifi_index,
              .name = text_in(parts[IFLA_IFNAME]),
              .hardware = head->ifi_type,
              .flags = head->ifi_flags,
              .parent_index = number_in<int>(parts[IFLA_LINK]),
              .parent_is_elsewhere = parts[IFLA_LINK_NETNSID] != nullptr,
              .master_index = number_in<int>(parts[IFLA_MASTER]),
              .mac = mac_in(parts[IFLA_ADDRESS]),
              .mtu = number_in<uint32_t>(parts[IFLA_MTU]),
              .queue_length = number_in<uint32_t>(parts[IFLA_TXQLEN]),
              .group = number_in<uint32_t>(parts[IFLA_GROUP]),
              .alias = text_in(parts[IFLA_IFALIAS])};
    if (link.index <= 0 || link.name.empty()) {
        return std::nullopt;
    }
    const auto info = nested_in<IFLA_INFO_MAX + 1>(parts[IFLA_LINKINFO]);
    link.kind = text_in(info[IFLA_INFO_KIND]);
    if (link.kind == "macvtap" || link.kind == "macvlan") {
        read_macvlan(link, info[IFLA_INFO_DATA]);
    } else if (link.kind == "ipvtap" || link.kind == "ipvlan") {
        read_ipvlan(link, info[IFLA_INFO_DATA]);
    }
    return link;
}

} // namespace tapline
