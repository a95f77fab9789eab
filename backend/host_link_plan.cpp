#include "backend/host_link_plan.h"

#include "backend/base/error.h"
#include "backend/network_namespace.h"
#include "backend/station.h"

#include <fmt/format.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace tapline {
namespace {

constexpr unsigned name_tries_max = 4096;

bool same_address(const IpPrefix& one, const IpPrefix& other) {
    return one.family() == other.family() && one.bytes() == other.bytes();
}

template <typename Parse, typename Same>
std::vector<IpPrefix> parse_all(const std::vector<std::string>& texts, const char* what,
                                Parse parse, Same same) {
    std::vector<IpPrefix> all;
    for (const std::string& text : texts) {
        for (size_t begin = 0; begin <= text.size();) {
            const size_t end = std::min(text.find(',', begin), text.size());
            const IpPrefix prefix = parse(std::string_view(text).substr(begin, end - begin));
            begin = end + 1;
            const bool twice = std::ranges::any_of(
                all, [&](const IpPrefix& other) { return same(other, prefix); });
            if (twice) {
                throw Error({.operation = fmt::format("read {} '{}'", what, prefix.text()),
                             .cause = "it is given twice",
                             .next_step = "leave one out"});
            }
            all.push_back(prefix);
        }
    }
    return all;
}

[[noreturn]] void refuse_parent(const std::string& parent, std::string cause,
                                std::string next_step) {
    throw Error({.operation = fmt::format("add host link on '{}'", parent),
                 .cause = std::move(cause),
                 .next_step = std::move(next_step)});
}

void check_parent(const Link* parent, const std::string& name, const std::vector<Link>& links) {
    if (parent == nullptr) {
        refuse_parent(name, "no such interface", "see `ip link`");
    }
    // The kernel would make it beside this one, on the same lower interface.
    if (is_station(*parent)) {
        refuse_parent(name, fmt::format("it is a {} itself", parent->kind),
                      fmt::format("name its parent, '{}'", name_of(links, parent->parent_index)));
    }
    if (parent->hardware != ARPHRD_ETHER) {
        refuse_parent(name, "it carries no Ethernet", "name an Ethernet interface");
    }
    if (parent->master_index != 0) {
        refuse_parent(name, fmt::format("it belongs to '{}'", name_of(links, parent->master_index)),
                      "name that one");
    }
}

void check_neighbours(const HostLinkSpec& spec, const Link& parent,
                      const std::vector<Link>& links) {
    const auto& mac = spec.interface.mac();
    if (mac && mac == parent.mac) {
        refuse_parent(parent.name,
                      fmt::format("'{}' has the MAC address {}", parent.name, mac->text()),
                      "choose another");
    }
    for (const Link& link : links) {
        if (!is_station(link) || !stands_on(link, parent.index)) {
            continue;
        }
        if (is_host_link(link)) {
            refuse_parent(parent.name, fmt::format("it has the host link '{}' already", link.name),
                          fmt::format("tapline host-link remove {}", link.name));
        }
        if (link.mode == MACVLAN_MODE_PASSTHRU) {
            refuse_parent(parent.name,
                          fmt::format("'{}' has it to itself, in mode passthru", link.name),
                          "make that one in mode bridge");
        }
        if (mac && link.mac == mac) {
            refuse_parent(parent.name,
                          fmt::format("'{}' has the MAC address {}", link.name, mac->text()),
                          "choose another");
        }
    }
}

// An address that some link of the host has.
struct Held {
    const IpPrefix& prefix;
    std::string link;
    bool by_parent;
    bool moves; // Away from the parent.
};

void check_address(const IpPrefix& wanted, const Held& held, const std::string& parent) {
    const auto refuse = [&](std::string cause, std::string next_step) {
        throw Error({.operation = fmt::format("add address {} to a host link on '{}'",
                                              wanted.text(), parent),
                     .cause = std::move(cause),
                     .next_step = std::move(next_step)});
    };
    if (held.prefix.family() != wanted.family()) {
        return;
    }
    if (same_address(held.prefix, wanted)) {
        refuse(fmt::format("'{}' has it already", held.link),
               held.moves       ? "it moves as it is: leave it out"
               : held.by_parent ? "choose another, or give --move-address"
                                : "choose another");
    }
    // The parent's route to a network that both have would be the first.
    if (held.by_parent && !held.moves && wanted.length() < wanted.address_bits() &&
        held.prefix.network() == wanted.network()) {
        refuse(fmt::format("the host would still reach {} through '{}'", wanted.network().text(),
                           parent),
               fmt::format("give {} and, with --route, the guests' part of the network; or give "
                           "--move-address",
                           wanted.address_text()));
    }
}

void check_addresses(const HostLinkSpec& spec, const HostLinkRecord& record, Netlink& netlink,
                     const std::vector<Link>& links) {
    for (const IpAddress& address : list_addresses(netlink)) {
        const bool by_parent = address.link() == record.parent_index;
        const bool moves = by_parent && std::ranges::any_of(record.addresses, [&](const auto& own) {
                               return own.same_as(address);
                           });
        for (const IpPrefix& wanted : spec.addresses) {
            check_address(wanted,
                          {.prefix = address.prefix(),
                           .link = name_of(links, address.link()),
                           .by_parent = by_parent,
                           .moves = moves},
                          record.parent);
        }
    }
}

void check_routes(const std::vector<IpRoute>& routes, const std::string& parent, int index) {
    for (const IpRoute& route : routes) {
        if (const auto number = route.nexthop_object()) {
            refuse_parent(parent,
                          fmt::format("route {} uses nexthop object {}, which cannot be moved",
                                      route.text(), *number),
                          "write the route with its gateway");
        }
        if (!route.uses_only(index)) {
            refuse_parent(parent,
                          fmt::format("route {} goes over other links, too, and cannot be moved",
                                      route.text()),
                          "delete it first");
        }
    }
}

std::string choose_name(const HostLinkSpec& spec, const std::vector<Link>& links) {
    if (spec.interface.name()) {
        if (link_named(links, *spec.interface.name())) {
            refuse_parent(spec.interface.parent(),
                          fmt::format("the name '{}' is taken", *spec.interface.name()),
                          "choose another");
        }
        return *spec.interface.name();
    }
    for (unsigned number = 0; number < name_tries_max; ++number) {
        std::string name = fmt::format("th{}", number);
        if (!link_named(links, name)) {
            return name;
        }
    }
    refuse_parent(spec.interface.parent(),
                  fmt::format("th0 to th{} are all taken", name_tries_max - 1), "choose a name");
}

void plan_move(Netlink& netlink, HostLinkRecord& record) {
    for (const IpAddress& address : list_addresses(netlink)) {
        if (address.link() == record.parent_index && address.is_global() &&
            !address.is_advertised()) {
            record.addresses.push_back(address);
        }
    }
    if (record.addresses.empty()) {
        refuse_parent(record.parent, "it has no address to move", "give --address");
    }
    // The kernel makes a route to the network of an address, unless somebody else does it in its
    // name, as NetworkManager does.
    const auto to_a_network = [&](const IpRoute& route) {
        return !route.is_local() &&
               std::ranges::any_of(record.addresses, [&](const IpAddress& address) {
                   return address.prefix().network() == route.destination();
               });
    };
    for (const IpRoute& route : list_routes(netlink)) {
        if (route.uses(record.parent_index) && (!route.is_kernels() || to_a_network(route))) {
            record.routes.push_back(route);
        }
    }
    check_routes(record.routes, record.parent, record.parent_index);
    std::stable_partition(record.routes.begin(), record.routes.end(),
                          [](const IpRoute& route) { return !route.has_gateway(); });
}

} // namespace

HostLinkSpec HostLinkSpec::parse(const HostLinkText& text) {
    return {.interface =
                InterfaceSpec::parse({.parent = text.parent, .name = text.name, .mac = text.mac}),
            .addresses =
                parse_all(text.addresses, "address", IpPrefix::parse_address, same_address),
            .routes = parse_all(text.routes, "route", IpPrefix::parse_network, std::equal_to{}),
            .move_addresses = text.move_addresses};
}

HostLinkRecord plan_host_link(Netlink& netlink, const HostLinkSpec& spec) {
    const std::string& name = spec.interface.parent();
    const std::vector<Link> links = netlink.links();
    const Link* parent = link_named(links, name);
    check_parent(parent, name, links);
    const int index = parent->index;
    const HostLinkRecords records = read_host_link_records();
    if (const Error* damage = records.damage(index)) {
        throw Error(*damage);
    }
    for (const HostLinkRecord& record : records.intact) {
        if (record.parent_index == index) {
            refuse_parent(name,
                          fmt::format("it has the host link '{}' already{}", record.name,
                                      record.complete ? "" : ", which was made halfway"),
                          fmt::format("tapline host-link remove {}", name));
        }
    }
    check_neighbours(spec, *parent, links);
    HostLinkRecord record{.network_namespace = current_network_namespace(),
                          .network_namespace_cookie = current_network_namespace_cookie(),
                          .parent = name,
                          .parent_index = index,
                          .name = choose_name(spec, links),
                          .mac = spec.interface.mac().value_or(MacAddress::random())};
    if (spec.move_addresses) {
        plan_move(netlink, record);
    }
    check_addresses(spec, record, netlink, links);
    return record;
}

} // namespace tapline
