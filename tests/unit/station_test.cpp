#include "backend/station.h"

#include <gtest/gtest.h>

namespace tapline {
namespace {

Link link_of(const std::string& kind, int parent_index = 2) {
    return {.index = 7, .name = "one0", .kind = kind, .parent_index = parent_index};
}

TEST(Station, IsAMacvlanOrMacvtap) {
    for (const char* kind : {"macvlan", "macvtap"}) {
        EXPECT_TRUE(is_station(link_of(kind))) << kind;
        EXPECT_FALSE(is_ipvlan(link_of(kind))) << kind;
    }
    for (const char* kind : {"ipvlan", "ipvtap"}) {
        EXPECT_TRUE(is_ipvlan(link_of(kind))) << kind;
        EXPECT_FALSE(is_station(link_of(kind))) << kind;
    }
    for (const char* kind : {"", "veth", "macvtap0", "vlan", "bridge"}) {
        EXPECT_FALSE(is_station(link_of(kind)) || is_ipvlan(link_of(kind))) << kind;
    }
}

TEST(Station, StandsOnItsParentOnly) {
    EXPECT_TRUE(stands_on(link_of("macvtap"), 2));
    EXPECT_TRUE(stands_on(link_of("ipvlan"), 2));
    EXPECT_FALSE(stands_on(link_of("macvtap"), 3));
}

TEST(Station, DoesNotStandOnTheSameIndexOfAnotherNetworkNamespace) {
    Link link = link_of("macvtap");
    link.parent_is_elsewhere = true;
    EXPECT_FALSE(stands_on(link, 2));
}

TEST(Station, IsNotWhatNamesItsPeer) {
    EXPECT_FALSE(stands_on(link_of("veth"), 2));
}

TEST(Station, OfTheHostIsAMacvlanWithOurMark) {
    Link link = link_of("macvlan");
    EXPECT_FALSE(is_host_link(link));
    link.alias = host_link_mark;
    EXPECT_TRUE(is_host_link(link));
    link.kind = "macvtap";
    EXPECT_FALSE(is_host_link(link));
}

TEST(Station, IsFoundByNameAndByIndex) {
    const std::vector<Link> links{{.index = 1, .name = "lo"}, {.index = 7, .name = "eth0"}};
    ASSERT_NE(link_named(links, "eth0"), nullptr);
    EXPECT_EQ(link_named(links, "eth0")->index, 7);
    EXPECT_EQ(link_named(links, "eth"), nullptr);
    EXPECT_EQ(name_of(links, 1), "lo");
    EXPECT_EQ(name_of(links, 2), "");
}

} // namespace
} // namespace tapline
