// What a host link shall be, and all that has to be known to undo it before it is made.
#pragma once

#include "backend/host_link_record.h"
#include "backend/interface_spec.h"
#include "backend/ip_prefix.h"
#include "backend/netlink.h"

#include <optional>
#include <string>
#include <vector>

namespace tapline {

// As it was asked for. Each text of a list may hold several, between commas.
struct HostLinkText {
    std::optional<std::string> parent;
    std::optional<std::string> name;
    std::optional<std::string> mac;
    std::vector<std::string> addresses;
    std::vector<std::string> routes;
    bool move_addresses = false;
};

struct HostLinkSpec {
    InterfaceSpec interface; // Its parent, name and MAC address.
    std::vector<IpPrefix> addresses;
    std::vector<IpPrefix> routes;
    bool move_addresses; // The parent's addresses and routes go to the host link.

    // Throws Error for the first value that no host link could have.
    static HostLinkSpec parse(const HostLinkText& text);
};

// Changes nothing. Throws Error for what would not work, or work other than one may expect.
HostLinkRecord plan_host_link(Netlink& netlink, const HostLinkSpec& spec);

} // namespace tapline
