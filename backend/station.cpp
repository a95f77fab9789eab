#include "backend/station.h"

#include <algorithm>

namespace tapline {

bool is_station(const Link& link) {
    return link.kind == "macvlan" || link.kind == "macvtap";
}

bool is_ipvlan(const Link& link) {
    return link.kind == "ipvlan" || link.kind == "ipvtap";
}

bool is_host_link(const Link& link) {
    return link.kind == "macvlan" && link.alias == host_link_mark;
}

// Other kinds name as their link what they do not stand on: a veth its peer.
bool stands_on(const Link& link, int parent_index) {
    return (is_station(link) || is_ipvlan(link)) && link.parent_index == parent_index &&
           !link.parent_is_elsewhere;
}

const Link* link_named(const std::vector<Link>& links, const std::string& name) {
    const auto found = std::ranges::find(links, name, &Link::name);
    return found == links.end() ? nullptr : &*found;
}

std::string name_of(const std::vector<Link>& links, int index) {
    const auto found = std::ranges::find(links, index, &Link::index);
    return found == links.end() ? "" : found->name;
}

} // namespace tapline
