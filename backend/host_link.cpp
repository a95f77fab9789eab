#include "backend/host_link.h"

#include "backend/announce.h"
#include "backend/base/error.h"
#include "backend/station.h"

#include <fmt/format.h>
#include <linux/if.h>
#include <netlink/addr.h>
#include <netlink/route/link/macvlan.h>

#include <algorithm>
#include <ranges>
#include <utility>

namespace tapline {
namespace {

// Until it is marked it is known by its address, of which a parent's stations have one each.
std::optional<Station> station_of(const HostLinkRecord& record, nl_cache* links) {
    for (Station& station : stations_among(links)) {
        if (station.macvlan && station.lower == record.parent_index &&
            (station.is_host_link || station.mac == record.mac)) {
            return std::move(station);
        }
    }
    return std::nullopt;
}

void demand(const std::optional<Netlink::Refusal>& refusal, const std::string& operation) {
    if (refusal) {
        const char* next_step = refusal->code == EPERM ? "needs CAP_NET_ADMIN: run as root"
                                : refusal->code == EOPNOTSUPP
                                    ? "the kernel has no macvlan: modprobe macvlan"
                                    : "see `ip -d link`";
        throw Error({.operation = operation,
                     .cause = refusal->text,
                     .next_step = next_step,
                     .code = refusal->code});
    }
}

void change(Netlink& netlink, int index, rtnl_link* changes, const std::string& operation) {
    const RtnlLink link = make_rtnl_link();
    rtnl_link_set_ifindex(link.get(), index);
    demand(netlink.change_link(link.get(), changes), operation);
}

void bring_up(Netlink& netlink, const std::string& name, int index) {
    const RtnlLink changes = make_rtnl_link();
    rtnl_link_set_flags(changes.get(), IFF_UP);
    change(netlink, index, changes.get(), fmt::format("bring up '{}'", name));
}

// Returns its index.
int make_link(Netlink& netlink, const HostLinkRecord& record) {
    const RtnlLink link(rtnl_link_macvlan_alloc(), rtnl_link_put);
    rtnl_link_set_link(link.get(), record.parent_index);
    rtnl_link_set_name(link.get(), record.name.c_str());
    rtnl_link_macvlan_set_mode(link.get(), static_cast<uint32_t>(MacvlanMode::bridge));
    nl_addr* address = nl_addr_build(AF_LLC, record.mac.bytes().data(), record.mac.bytes().size());
    rtnl_link_set_addr(link.get(), address);
    nl_addr_put(address);
    demand(netlink.add_link(link.get()),
           fmt::format("add host link '{}' on '{}'", record.name, record.parent));
    const RtnlLink made = netlink.link(record.name);
    const int index = made ? rtnl_link_get_ifindex(made.get()) : 0;
    const RtnlLink mark = make_rtnl_link(); // The kernel takes no alias while it makes a link.
    rtnl_link_set_ifalias(mark.get(), host_link_mark);
    change(netlink, index, mark.get(), fmt::format("mark '{}' as ours", record.name));
    return index;
}

void delete_link(Netlink& netlink, const Station& station) {
    const RtnlLink link = make_rtnl_link();
    rtnl_link_set_ifindex(link.get(), station.index);
    const auto refusal = netlink.delete_link(link.get());
    if (refusal && refusal->code != ENODEV) {
        demand(refusal, fmt::format("remove host link '{}'", station.name));
    }
}

void give_back(Netlink& netlink, const HostLinkRecord& record, int host_link,
               const std::string& parent) {
    const auto present = list_addresses(netlink);
    const auto find = [&](const IpAddress& address, int link) {
        return std::ranges::find_if(present, [&](const IpAddress& other) {
            return other.link() == link && other.same_as(address);
        });
    };
    for (const IpAddress& address : record.addresses) {
        const auto at_home = find(address, record.parent_index);
        const auto moved = find(address, host_link);
        const auto& holder = at_home != present.end() ? at_home : moved;
        const IpAddress alive =
            holder != present.end() ? address.with_lifetime_of(*holder) : address;
        if (at_home == present.end()) {
            add_address(netlink, alive, parent);
        }
        restore_flags(netlink, alive, parent);
    }
    for (const IpRoute& route : record.routes) {
        append_route(netlink, route, parent);
    }
}

void announce_all(const std::vector<IpAddress>& addresses, const MacAddress& mac, int link) {
    for (const IpAddress& address : addresses) {
        announce(address.prefix(), mac, link);
    }
}

// Each step is the same whether it was taken before or not. The link goes last, so that the host
// is never without an address.
void undo(Netlink& netlink, const HostLinkRecord& record) {
    const RtnlLinkCache links = netlink.links();
    const auto station = station_of(record, links.get());
    const RtnlLink parent(rtnl_link_get(links.get(), record.parent_index), rtnl_link_put);
    if (parent) {
        give_back(netlink, record, station ? station->index : 0, rtnl_link_get_name(parent.get()));
    }
    if (station) {
        delete_link(netlink, *station);
    }
    if (parent) {
        announce_all(record.addresses, hardware_address(parent.get()), record.parent_index);
    }
    erase_record(record);
}

std::vector<std::string> warnings_for(const HostLinkSpec& spec, const HostLinkRecord& record,
                                      Netlink& netlink) {
    std::vector<std::string> warnings;
    const RtnlLinkCache links = netlink.links();
    for (const Station& station : stations_among(links.get())) {
        if (station.lower == record.parent_index && station.mode != MacvlanMode::bridge) {
            warnings.push_back(fmt::format("'{}' is in mode {} and stays out of the host's reach",
                                           station.name, to_text(station.mode)));
        }
    }
    const auto stays = [&](const IpAddress& address) {
        return address.link() == record.parent_index && address.is_advertised();
    };
    if (spec.move_addresses && std::ranges::any_of(list_addresses(netlink), stays)) {
        warnings.push_back(
            fmt::format("addresses that a router advertised stay on '{}'", record.parent));
    }
    return warnings;
}

template <typename Entries> std::vector<std::string> texts_of(const Entries& addresses) {
    std::vector<std::string> texts;
    for (const IpAddress& address : addresses) {
        texts.push_back(address.prefix().text());
    }
    return texts;
}

HostLink describe(Netlink& netlink, const Station& station, nl_cache* links,
                  const HostLinkRecord* record) {
    HostLink all{.name = station.name,
                 .parent = name_of(links, station.lower),
                 .mac = station.mac,
                 .complete = record == nullptr || record->complete};
    for (const IpAddress& address : list_addresses(netlink)) {
        if (address.link() == station.index && address.is_global()) {
            all.addresses.push_back(address.prefix().text());
        }
    }
    for (const IpRoute& route : list_routes(netlink)) {
        if (route.uses(station.index) && !route.is_kernels()) {
            all.routes.push_back(route.text());
        }
    }
    if (record != nullptr) {
        all.moved_addresses = texts_of(record->addresses);
    }
    return all;
}

} // namespace

std::vector<HostLink> list_host_links(Netlink& netlink) {
    const RtnlLinkCache links = netlink.links();
    const auto records = read_host_link_records();
    std::vector<HostLink> all;
    for (const HostLinkRecord& record : records) {
        const std::string parent = name_of(links.get(), record.parent_index);
        if (const auto station = station_of(record, links.get())) {
            all.push_back(describe(netlink, *station, links.get(), &record));
        } else if (!parent.empty()) { // Stopped before there was a link, or after it had gone.
            all.push_back({.name = record.name,
                           .parent = parent,
                           .mac = record.mac,
                           .complete = false,
                           .moved_addresses = texts_of(record.addresses)});
        }
    }
    for (const Station& station : stations_among(links.get())) {
        if (station.is_host_link &&
            std::ranges::find(records, station.lower, &HostLinkRecord::parent_index) ==
                records.end()) {
            all.push_back(describe(netlink, station, links.get(), nullptr));
        }
    }
    return all;
}

void remove_host_link(Netlink& netlink, const std::string& parent_or_name) {
    const UniqueFd lock = lock_host_link_records();
    const RtnlLinkCache links = netlink.links();
    for (const HostLinkRecord& record : read_host_link_records()) {
        const auto station = station_of(record, links.get());
        const std::string parent = name_of(links.get(), record.parent_index);
        if (parent_or_name == (parent.empty() ? record.parent : parent) ||
            parent_or_name == (station ? station->name : record.name)) {
            return undo(netlink, record);
        }
    }
    for (const Station& station : stations_among(links.get())) {
        if (station.is_host_link && (parent_or_name == station.name ||
                                     parent_or_name == name_of(links.get(), station.lower))) {
            return delete_link(netlink, station);
        }
    }
    const RtnlLink link = link_named(links.get(), parent_or_name);
    if (!link || as_station(link.get())) {
        throw Error({.operation = fmt::format("remove host link '{}'", parent_or_name),
                     .cause = link ? "tapline did not make it as one" : "no such interface",
                     .next_step = "see `tapline host-link list`"});
    }
}

OwnedHostLink::OwnedHostLink(Netlink& netlink, UniqueFd lock, HostLinkRecord record)
    : netlink_(&netlink), lock_(std::move(lock)), record_(std::move(record)) {}

OwnedHostLink::OwnedHostLink(OwnedHostLink&& other) noexcept
    : netlink_(std::exchange(other.netlink_, nullptr)),
      lock_(std::move(other.lock_)),
      record_(std::move(other.record_)),
      warnings_(std::move(other.warnings_)) {}

OwnedHostLink OwnedHostLink::create(Netlink& netlink, const HostLinkSpec& spec) {
    UniqueFd lock = lock_host_link_records();
    OwnedHostLink owned(netlink, std::move(lock), plan_host_link(netlink, spec));
    write_record(owned.record_);
    owned.build(spec);
    owned.warnings_ = warnings_for(spec, owned.record_, netlink);
    return owned;
}

void OwnedHostLink::build(const HostLinkSpec& spec) {
    const int index = make_link(*netlink_, record_);
    bring_up(*netlink_, record_.name, index);
    for (const IpPrefix& prefix : spec.addresses) {
        add_address(*netlink_, IpAddress::make(prefix, index), record_.name);
    }
    move_from_parent(index);
    for (const IpPrefix& destination : spec.routes) {
        add_route(*netlink_, IpRoute::make(destination, index), record_.name);
    }
    const RtnlLink parent = netlink_->link(record_.parent);
    if (parent && (rtnl_link_get_flags(parent.get()) & IFF_UP) == 0) { // Last: it stays up.
        bring_up(*netlink_, record_.parent, record_.parent_index);
    }
    announce_all(record_.addresses, record_.mac, index);
}

// Both have everything for a moment, so that the host is never without an address or a route.
void OwnedHostLink::move_from_parent(int index) {
    for (const IpAddress& address : record_.addresses) {
        add_address(*netlink_, address.moved_to(index), record_.name);
    }
    for (const IpRoute& route : record_.routes) {
        append_route(*netlink_, route.moved(record_.parent_index, index), record_.name);
    }
    for (const IpRoute& route : std::views::reverse(record_.routes)) {
        delete_route(*netlink_, route, record_.parent);
    }
    for (const IpAddress& address : std::views::reverse(record_.addresses)) {
        delete_address(*netlink_, address, record_.parent);
    }
}

HostLink OwnedHostLink::host_link() const {
    const RtnlLinkCache links = netlink_->links();
    const auto station = station_of(record_, links.get());
    if (!station) {
        throw Error({.operation = fmt::format("add host link '{}'", record_.name),
                     .cause = "somebody deleted it meanwhile"});
    }
    HostLink all = describe(*netlink_, *station, links.get(), &record_);
    all.complete = true;
    return all;
}

void OwnedHostLink::keep() {
    record_.complete = true;
    write_record(record_);
    netlink_ = nullptr;
}

OwnedHostLink::~OwnedHostLink() {
    if (netlink_ == nullptr) {
        return;
    }
    try {
        undo(*netlink_, record_);
    } catch (const std::exception&) { // A destructor has nobody to tell; the record stays.
    }
}

} // namespace tapline
