#include "hooks/libvirt/rx_filter.h"

#include "backend/base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <functional>
#include <string>

namespace tapline::libvirt {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;

const MacAddress guests = MacAddress::parse("52:54:00:00:00:02");
const MacAddress other = MacAddress::parse("52:54:00:00:00:03");
const MacAddress all_hosts = MacAddress::parse_group("01:00:5e:00:00:01");
const MacAddress all_nodes = MacAddress::parse_group("33:33:00:00:00:01");

// As QEMU 7.2 tells it of a Linux guest that joined one group.
json answer() {
    return json::parse(R"([{"unicast-overflow": false, "multicast-overflow": false,
        "name": "net0", "unicast": "normal", "multicast": "normal", "vlan": "all",
        "promiscuous": false, "main-mac": "52:54:00:00:00:02", "unicast-table": [],
        "vlan-table": [], "broadcast-allowed": true,
        "multicast-table": ["01:00:5e:00:00:01"]}])");
}

json answer_with(const std::string& key, const json& value) {
    json cards = answer();
    cards[0][key] = value;
    return cards;
}

TEST(RxFilter, ReadsWhatTheDriverAskedFor) {
    const RxFilter filter = parse_rx_filter(answer());
    EXPECT_EQ(filter.mac, guests);
    EXPECT_FALSE(filter.wants_all_groups);
    EXPECT_THAT(filter.groups, ElementsAre(all_hosts));
}

TEST(RxFilter, AllGroupsAreWantedInEachOfThreeWays) {
    EXPECT_TRUE(parse_rx_filter(answer_with("promiscuous", true)).wants_all_groups);
    EXPECT_TRUE(parse_rx_filter(answer_with("multicast", "all")).wants_all_groups);
    EXPECT_TRUE(parse_rx_filter(answer_with("multicast-overflow", true)).wants_all_groups);
    EXPECT_FALSE(parse_rx_filter(answer_with("multicast", "none")).wants_all_groups);
}

TEST(RxFilter, WhatTheGuestFillsInWronglyIsLeftOut) {
    for (const std::string mac : {"01:00:5e:00:00:01", "00:00:00:00:00:00"}) {
        EXPECT_EQ(parse_rx_filter(answer_with("main-mac", mac)).mac, std::nullopt) << mac;
    }
    const json table = {"52:54:00:00:00:09", "33:33:00:00:00:01", "33:33"};
    EXPECT_THAT(parse_rx_filter(answer_with("multicast-table", table)).groups,
                ElementsAre(all_nodes));
}

TEST(RxFilter, WhatQemuWouldNotSayIsRefused) {
    EXPECT_THROW(parse_rx_filter(json()), Error);
    EXPECT_THROW(parse_rx_filter(json::array()), Error);
    EXPECT_THROW(parse_rx_filter(answer_with("promiscuous", "yes")), Error);
    EXPECT_THROW(parse_rx_filter(answer_with("main-mac", nullptr)), Error);
    EXPECT_THROW(parse_rx_filter(answer_with("multicast-table", {1, 2})), Error);
    EXPECT_THROW(parse_rx_filter(answer_with("multicast-table", "33:33:00:00:00:01")), Error);
    EXPECT_THROW(parse_rx_filter(answer_with("multicast-table", json(257, "33:33:00:00:00:01"))),
                 Error);
}

FilterChange plan(const RxFilter& guest, const FilterPolicy& policy) {
    return plan_change(guest, policy, {.mac = guests, .all_groups = false, .groups = {all_hosts}});
}

TEST(FilterPlan, GroupsFollowTheGuestWhereItMayJoin) {
    const FilterPolicy joined{.multicast = MulticastPolicy::joined};
    const FilterChange change = plan({.mac = guests, .groups = {all_nodes}}, joined);
    EXPECT_THAT(change.join, ElementsAre(all_nodes));
    EXPECT_THAT(change.leave, ElementsAre(all_hosts));
    EXPECT_EQ(change.all_groups, std::nullopt);
    EXPECT_EQ(change.mac, std::nullopt);

    EXPECT_TRUE(plan({.mac = guests, .groups = {all_hosts}}, joined).empty());
}

TEST(FilterPlan, AllGroupsFollowTheGuestAndEndWithItsWish) {
    const FilterPolicy joined{.multicast = MulticastPolicy::joined};
    const RxFilter router{.mac = guests, .wants_all_groups = true, .groups = {all_hosts}};
    EXPECT_EQ(plan(router, joined).all_groups, true);

    const DeviceFilter takes_all{.mac = guests, .all_groups = true, .groups = {all_hosts}};
    EXPECT_TRUE(plan_change(router, joined, takes_all).empty());
    const RxFilter host{.mac = guests, .groups = {all_hosts}};
    EXPECT_EQ(plan_change(host, joined, takes_all).all_groups, false);
}

TEST(FilterPlan, AFixedPolicyIsNotTouched) {
    const RxFilter guest{.mac = guests, .wants_all_groups = true, .groups = {all_nodes}};
    EXPECT_TRUE(plan(guest, {.multicast = MulticastPolicy::all}).empty());
    EXPECT_TRUE(plan(guest, {.multicast = MulticastPolicy::none}).empty());
}

TEST(FilterPlan, TheAddressFollowsATrustedGuestOnly) {
    const RxFilter moved{.mac = other};
    EXPECT_EQ(plan(moved, {.multicast = MulticastPolicy::all, .trusts_mac = true}).mac, other);
    EXPECT_EQ(plan(moved, {.multicast = MulticastPolicy::all}).mac, std::nullopt);
    EXPECT_TRUE(plan({}, {.multicast = MulticastPolicy::all, .trusts_mac = true}).empty());
}

} // namespace
} // namespace tapline::libvirt
