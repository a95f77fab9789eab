// Who a guest may say it is: its frames' Ethernet and IP source addresses, and that it neither
// advertises itself as a router nor answers as a DHCP server, unless allowed.
//
// What cannot be read is refused where it could hide such a claim: headers that go on behind what
// is looked at, that are cut short or split over fragments, or stand behind more than two VLAN
// tags. Looked at are IPv4, IPv6 and ARP; frames of other protocols carry no claim but their MAC.
#pragma once

#include "backend/ip_prefix.h"
#include "backend/mac_address.h"
#include "iouring/counters.h"
#include "iouring/virtio_net_header.h"

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace tapline {

class PortSecurity {
public:
    struct Rules {
        std::vector<MacAddress> macs;    // None, and not own_mac: any.
        bool own_mac = false;            // The device's own is among them.
        std::vector<IpPrefix> addresses; // None: any.
        bool router_advertisements = false;
        bool dhcp_server = false;
    };

    // own: the device's address. Where IP addresses are restricted, the link-local addresses that
    // stations make from the allowed MACs (or from own, where any is) are among the allowed.
    PortSecurity(Rules rules, const MacAddress& own);

    // Why a frame must not leave. frame: its beginning, the Ethernet header at least, in memory
    // that nobody else writes to.
    std::optional<Drop> refusal(const VirtioNetHeader& header,
                                std::span<const std::byte> frame) const noexcept;

private:
    Rules rules_;
};

} // namespace tapline
