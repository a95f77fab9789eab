// Who stands on an interface: macvlans and macvtaps, each another station with an address of its
// own, and their relatives without one.
#pragma once

#include "backend/link.h"

#include <string>
#include <vector>

namespace tapline {

constexpr const char* host_link_mark = "tapline host-link"; // The alias (IFLA_IFALIAS) of ours.

bool is_station(const Link& link);                  // A macvlan or macvtap.
bool is_ipvlan(const Link& link);                   // An ipvlan or ipvtap.
bool is_host_link(const Link& link);                // A macvlan with our mark.
bool stands_on(const Link& link, int parent_index); // Any of these, on this interface.

// Among all links of a network namespace. Null, and empty, where there is none.
const Link* link_named(const std::vector<Link>& links, const std::string& name);
std::string name_of(const std::vector<Link>& links, int index);

} // namespace tapline
