// A second station on an Ethernet interface as the kernel tells of it: a macvlan or a macvtap.
#pragma once

#include "backend/interface_spec.h"
#include "backend/netlink.h"

#include <optional>
#include <string>
#include <vector>

namespace tapline {

constexpr const char* host_link_mark = "tapline host-link"; // The alias (IFLA_IFALIAS) of ours.

struct Station {
    std::string name;
    int index = 0;
    int lower = 0; // Index of its parent.
    bool macvlan = false;
    MacvlanMode mode{};
    MacAddress mac;
    bool is_host_link = false; // A macvlan with our mark.
};

MacAddress hardware_address(rtnl_link* link);
std::optional<Station> as_station(rtnl_link* link);

// `links` is Netlink::links().
std::vector<Station> stations_among(nl_cache* links);
RtnlLink link_named(nl_cache* links, const std::string& name);
std::string name_of(nl_cache* links, int index); // Empty where there is none.

} // namespace tapline
