// A network interface as rtnetlink describes it (include/uapi/linux/if_link.h).
#pragma once

#include "backend/mac_address.h"

#include <linux/netlink.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tapline {

struct Link {
    int index = 0;
    std::string name;
    std::string kind;                 // IFLA_INFO_KIND; empty for a physical interface.
    uint16_t hardware = 0;            // ARPHRD_*
    unsigned flags = 0;               // IFF_*
    int parent_index = 0;             // IFLA_LINK
    bool parent_is_elsewhere = false; // In another network namespace, where that index counts.
    int master_index = 0;             // Bridge or bond it is a port of.
    std::optional<MacAddress> mac;    // Absent where it has no Ethernet address.
    uint32_t mtu = 0;                 // Bytes.
    uint32_t queue_length = 0;        // Frames.
    uint32_t group = 0;
    std::string alias;

    uint32_t mode = 0;                    // MACVLAN_MODE_* or IPVLAN_MODE_*
    uint16_t kind_flags = 0;              // MACVLAN_FLAG_* or IPVLAN_F_*
    uint32_t broadcast_queue_length = 0;  // Frames; of a macvlan or macvtap.
    std::vector<MacAddress> allowed_macs; // Of one in mode source.

    bool has_flag(unsigned flag) const { return (flags & flag) != 0; }
};

// What an RTM_NEWLINK message says; nothing where it is another message, cut short or names no
// interface. What single attributes say wrongly is left out.
std::optional<Link> parse_link(const nlmsghdr* message);

} // namespace tapline
