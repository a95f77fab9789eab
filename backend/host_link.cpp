#include "backend/host_link.h"

#include "backend/announce.h"
#include "backend/base/error.h"
#include "backend/station.h"

#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_link.h>

#include <algorithm>
#include <utility>

namespace tapline {
namespace {

// Until it is marked it is known by its address, of which a parent's stations have one each.
std::optional<Link> station_of(const HostLinkRecord& record, const std::vector<Link>& links) {
    const auto found = std::ranges::find_if(links, [&](const Link& link) {
        return link.kind == "macvlan" && stands_on(link, record.parent_index) &&
               (is_host_link(link) || link.mac == record.mac);
    });
    return found == links.end() ? std::nullopt : std::optional(*found);
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

void bring_up(Netlink& netlink, const std::string& name, int index) {
    demand(netlink.request(LinkRequest::change(index, IFF_UP)).refusal,
           fmt::format("bring up '{}'", name));
}

// Returns its index.
int make_link(Netlink& netlink, const HostLinkRecord& record) {
    LinkRequest request = LinkRequest::create();
    request.put(IFLA_IFNAME, record.name);
    request.put(IFLA_LINK, static_cast<uint32_t>(record.parent_index));
    request.put(IFLA_ADDRESS, record.mac);
    {
        const auto info = request.nest(IFLA_LINKINFO);
        request.put(IFLA_INFO_KIND, "macvlan");
        const auto data = request.nest(IFLA_INFO_DATA);
        request.put(IFLA_MACVLAN_MODE, static_cast<uint32_t>(MacvlanMode::bridge));
    }
    demand(netlink.request(request).refusal,
           fmt::format("add host link '{}' on '{}'", record.name, record.parent));
    const auto made = netlink.link(record.name);
    const int index = made ? made->index : 0;
    LinkRequest mark = LinkRequest::change(index); // The kernel takes no alias at creation.
    mark.put(IFLA_IFALIAS, host_link_mark);
    demand(netlink.request(mark).refusal, fmt::format("mark '{}' as ours", record.name));
    return index;
}

void delete_link(Netlink& netlink, const Link& station) {
    const auto refusal = netlink.request(LinkRequest::remove(station.index)).refusal;
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

std::vector<std::string> warnings_for(const HostLinkSpec& spec, const HostLinkRecord& record,
                                      Netlink& netlink) {
    std::vector<std::string> warnings;
    const std::vector<Link> links = netlink.links();
    for (const Link& link : links) {
        if (is_station(link) && stands_on(link, record.parent_index) &&
            link.mode != MACVLAN_MODE_BRIDGE) {
            warnings.push_back(fmt::format("'{}' is in mode {} and stays out of the host's reach",
                                           link.name,
                                           to_text(static_cast<MacvlanMode>(link.mode))));
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

HostLink describe(Netlink& netlink, const Link& station, const std::vector<Link>& links,
                  const HostLinkRecord* record) {
    HostLink all{.name = station.name,
                 .parent = name_of(links, station.parent_index),
                 .mac = station.mac.value_or(MacAddress({})),
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

// Of a host link, or of a parent of one.
const Error* damage_of(const Link& link, const HostLinkRecords& records) {
    return records.damage(is_host_link(link) ? link.parent_index : link.index);
}

} // namespace

HostLinks list_host_links(Netlink& netlink) {
    const std::vector<Link> links = netlink.links();
    const HostLinkRecords records = read_host_link_records();
    HostLinks all;
    for (const HostLinkRecord& record : records.intact) {
        const std::string parent = name_of(links, record.parent_index);
        if (const auto station = station_of(record, links)) {
            all.links.push_back(describe(netlink, *station, links, &record));
        } else if (!parent.empty()) { // Stopped before there was a link, or after it had gone.
            all.links.push_back({.name = record.name,
                                 .parent = parent,
                                 .mac = record.mac,
                                 .complete = false,
                                 .moved_addresses = texts_of(record.addresses)});
        }
    }
    for (const Link& station : links) {
        if (is_host_link(station) && !records.damage(station.parent_index) &&
            std::ranges::find(records.intact, station.parent_index,
                              &HostLinkRecord::parent_index) == records.intact.end()) {
            all.links.push_back(describe(netlink, station, links, nullptr));
        }
    }
    for (const auto& [file, damage] : records.damaged) {
        all.unreadable.push_back(damage);
    }
    return all;
}

std::vector<HostLinkRecord> find_broken_host_links(Netlink& netlink) {
    const std::vector<Link> links = netlink.links();
    std::vector<HostLinkRecord> broken = read_host_link_records().intact;
    std::erase_if(broken, [&](const HostLinkRecord& record) {
        return record.complete && station_of(record, links);
    });
    return broken;
}

// Each step is the same whether it was taken before or not. The link goes last, so that the host
// is never without an address.
void undo_host_link(Netlink& netlink, const HostLinkRecord& record) {
    const std::vector<Link> links = netlink.links();
    const auto station = station_of(record, links);
    const auto parent = std::ranges::find(links, record.parent_index, &Link::index);
    const bool has_parent = parent != links.end();
    if (has_parent) {
        give_back(netlink, record, station ? station->index : 0, parent->name);
    }
    if (station) {
        delete_link(netlink, *station);
    }
    if (has_parent && parent->mac) {
        announce_all(record.addresses, *parent->mac, record.parent_index);
    }
    erase_record(record);
}

void remove_host_link(Netlink& netlink, const std::string& parent_or_name) {
    const UniqueFd lock = lock_host_link_records();
    const std::vector<Link> links = netlink.links();
    HostLinkRecords records = read_host_link_records();
    for (HostLinkRecord& record : records.intact) {
        const auto station = station_of(record, links);
        const std::string parent = name_of(links, record.parent_index);
        if (parent_or_name == (parent.empty() ? record.parent : parent) ||
            parent_or_name == (station ? station->name : record.name)) {
            if (record.complete) { // What is left of it after a kill is to be undone, too.
                record.complete = false;
                write_record(record);
            }
            return undo_host_link(netlink, record);
        }
    }
    const Link* link = link_named(links, parent_or_name);
    if (const Error* damage = link == nullptr ? nullptr : damage_of(*link, records)) {
        throw Error(*damage);
    }
    for (const Link& station : links) {
        if (is_host_link(station) && (parent_or_name == station.name ||
                                      parent_or_name == name_of(links, station.parent_index))) {
            return delete_link(netlink, station);
        }
    }
    if (link == nullptr || is_station(*link)) {
        throw Error(
            {.operation = fmt::format("remove host link '{}'", parent_or_name),
             .cause = link != nullptr ? "tapline did not make it as one" : "no such interface",
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
    const auto parent = netlink_->link(record_.parent_index);
    if (parent && !parent->has_flag(IFF_UP)) { // Last: it stays up.
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
    std::for_each(record_.routes.rbegin(), record_.routes.rend(),
                  [&](const IpRoute& route) { delete_route(*netlink_, route, record_.parent); });
    std::for_each(
        record_.addresses.rbegin(), record_.addresses.rend(),
        [&](const IpAddress& address) { delete_address(*netlink_, address, record_.parent); });
}

HostLink OwnedHostLink::host_link() const {
    const std::vector<Link> links = netlink_->links();
    const auto station = station_of(record_, links);
    if (!station) {
        throw Error({.operation = fmt::format("add host link '{}'", record_.name),
                     .cause = "somebody deleted it meanwhile"});
    }
    HostLink all = describe(*netlink_, *station, links, &record_);
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
        undo_host_link(*netlink_, record_);
    } catch (const std::exception&) { // A destructor has nobody to tell; the record stays.
    }
}

} // namespace tapline
