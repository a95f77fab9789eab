#include "hooks/libvirt/rx_filter.h"

#include "backend/base/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <string>

namespace tapline::libvirt {
namespace {

// QEMU's table holds 64 (hw/net/virtio-net.c, MAC_TABLE_ENTRIES); a longer one is no table of it.
constexpr size_t groups_max = 256;

std::optional<MacAddress> station(const std::string& text) {
    try {
        return MacAddress::parse(text);
    } catch (const Error&) {
        return std::nullopt;
    }
}

// The guest fills the table, with what it likes: what is no group is left out.
std::set<MacAddress> groups_in(const nlohmann::json& table) {
    std::set<MacAddress> groups;
    for (const nlohmann::json& entry : table) {
        try {
            groups.insert(MacAddress::parse_group(entry.get<std::string>()));
        } catch (const Error&) {}
    }
    return groups;
}

std::set<MacAddress> without(const std::set<MacAddress>& all, const std::set<MacAddress>& some) {
    std::set<MacAddress> rest;
    std::ranges::set_difference(all, some, std::inserter(rest, rest.end()));
    return rest;
}

} // namespace

RxFilter parse_rx_filter(const nlohmann::json& cards) {
    try {
        const nlohmann::json& card = cards.at(0);
        const nlohmann::json& table = card.at("multicast-table");
        if (!table.is_array() || table.size() > groups_max) {
            throw Error({.operation = "read the filter of a guest's card",
                         .cause = "its multicast table is none, or too long"});
        }
        return {.mac = station(card.at("main-mac").get<std::string>()),
                .wants_all_groups = card.at("promiscuous").get<bool>() ||
                                    card.at("multicast").get<std::string>() == "all" ||
                                    card.at("multicast-overflow").get<bool>(),
                .groups = groups_in(table)};
    } catch (const nlohmann::json::exception& error) {
        throw Error({.operation = "read the filter of a guest's card", .cause = error.what()});
    }
}

FilterChange plan_change(const RxFilter& guest, const FilterPolicy& policy,
                         const DeviceFilter& device) {
    FilterChange change;
    if (policy.trusts_mac && guest.mac && *guest.mac != device.mac) {
        change.mac = guest.mac;
    }
    switch (policy.multicast) {
    case MulticastPolicy::all: // It was made so.
    case MulticastPolicy::none:
        break;
    case MulticastPolicy::joined:
        // A guest that may join any group may have all: routers want them, and so does a guest
        // with more groups than QEMU can list.
        if (guest.wants_all_groups != device.all_groups) {
            change.all_groups = guest.wants_all_groups;
        }
        change.join = without(guest.groups, device.groups);
        change.leave = without(device.groups, guest.groups);
        break;
    }
    return change;
}

std::string to_text(const FilterChange& change) {
    std::string text;
    const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
    if (change.mac) {
        add("its address is now " + change.mac->text());
    }
    if (change.all_groups) {
        add(*change.all_groups ? "it takes all multicast groups" : "it takes its groups alone");
    }
    if (!change.join.empty() || !change.leave.empty()) {
        add(fmt::format("multicast groups: {} joined, {} left", change.join.size(),
                        change.leave.size()));
    }
    return text;
}

} // namespace tapline::libvirt
