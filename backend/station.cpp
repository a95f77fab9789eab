#include "backend/station.h"

#include <netlink/addr.h>
#include <netlink/route/link/macvlan.h>
#include <netlink/route/link/macvtap.h>

#include <cstring>
#include <utility>

namespace tapline {
namespace {

bool is_of_type(rtnl_link* link, const char* type) {
    const char* its = rtnl_link_get_type(link);
    return its != nullptr && std::strcmp(its, type) == 0;
}

} // namespace

MacAddress hardware_address(rtnl_link* link) {
    MacAddress::Bytes bytes{};
    const nl_addr* address = rtnl_link_get_addr(link);
    if (address != nullptr && nl_addr_get_len(address) == bytes.size()) {
        std::memcpy(bytes.data(), nl_addr_get_binary_addr(address), bytes.size());
    }
    return MacAddress(bytes);
}

std::optional<Station> as_station(rtnl_link* link) {
    const bool macvlan = is_of_type(link, "macvlan");
    if (!macvlan && !is_of_type(link, "macvtap")) {
        return std::nullopt;
    }
    const char* alias = rtnl_link_get_ifalias(link);
    return Station{.name = rtnl_link_get_name(link),
                   .index = rtnl_link_get_ifindex(link),
                   .lower = rtnl_link_get_link(link),
                   .macvlan = macvlan,
                   .mode = static_cast<MacvlanMode>(macvlan ? rtnl_link_macvlan_get_mode(link)
                                                            : rtnl_link_macvtap_get_mode(link)),
                   .mac = hardware_address(link),
                   .is_host_link =
                       macvlan && alias != nullptr && std::strcmp(alias, host_link_mark) == 0};
}

std::vector<Station> stations_among(nl_cache* links) {
    std::vector<Station> stations;
    for (nl_object* entry = nl_cache_get_first(links); entry != nullptr;
         entry = nl_cache_get_next(entry)) {
        if (auto station = as_station(static_cast<rtnl_link*>(static_cast<void*>(entry)))) {
            stations.push_back(std::move(*station));
        }
    }
    return stations;
}

RtnlLink link_named(nl_cache* links, const std::string& name) {
    return {rtnl_link_get_by_name(links, name.c_str()), rtnl_link_put};
}

std::string name_of(nl_cache* links, int index) {
    const RtnlLink link(rtnl_link_get(links, index), rtnl_link_put);
    return link ? rtnl_link_get_name(link.get()) : "";
}

} // namespace tapline
