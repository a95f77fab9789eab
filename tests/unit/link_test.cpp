#include "backend/link.h"

#include "tests/unit/netlink_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

namespace tapline {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const MacAddress one = MacAddress::parse("52:54:00:00:00:01");
const MacAddress two = MacAddress::parse("52:54:00:00:00:02");

std::string bytes_in(const MacAddress& mac) {
    return bytes_of(mac.bytes());
}

std::string head(int index = 7) {
    return bytes_of(ifinfomsg{.ifi_type = 1, .ifi_index = index, .ifi_flags = IFF_UP});
}

std::string kind(const std::string& name, const std::string& data) {
    return attribute(IFLA_LINKINFO,
                     text_attribute(IFLA_INFO_KIND, name) + attribute(IFLA_INFO_DATA, data));
}

std::optional<Link> parsed(const std::string& payload, uint16_t type = RTM_NEWLINK) {
    HandMadeMessage message(type, 0, payload);
    return parse_link(message.header());
}

const std::string named = head() + text_attribute(IFLA_IFNAME, "tl0");

TEST(Link, SaysWhatItsAttributesSay) {
    const auto link =
        parsed(named + number_attribute(IFLA_LINK, 2) + number_attribute(IFLA_MASTER, 9) +
               attribute(IFLA_ADDRESS, bytes_in(one)) + number_attribute(IFLA_MTU, 1400U) +
               number_attribute(IFLA_TXQLEN, 1024U) + number_attribute(IFLA_GROUP, 5U) +
               text_attribute(IFLA_IFALIAS, "tapline 4000002a"));
    ASSERT_TRUE(link);
    EXPECT_EQ(link->index, 7);
    EXPECT_EQ(link->name, "tl0");
    EXPECT_EQ(link->kind, "");
    EXPECT_EQ(link->hardware, 1);
    EXPECT_TRUE(link->has_flag(IFF_UP));
    EXPECT_FALSE(link->has_flag(IFF_LOOPBACK));
    EXPECT_EQ(link->parent_index, 2);
    EXPECT_FALSE(link->parent_is_elsewhere);
    EXPECT_EQ(link->master_index, 9);
    EXPECT_EQ(link->mac, one);
    EXPECT_EQ(link->mtu, 1400U);
    EXPECT_EQ(link->queue_length, 1024U);
    EXPECT_EQ(link->group, 5U);
    EXPECT_EQ(link->alias, "tapline 4000002a");
}

TEST(Link, HasDefaultsForWhatIsNotSaid) {
    const auto link = parsed(named);
    ASSERT_TRUE(link);
    EXPECT_EQ(link->mac, std::nullopt);
    EXPECT_EQ(link->mtu, 0U);
    EXPECT_EQ(link->parent_index, 0);
    EXPECT_EQ(link->alias, "");
}

TEST(Link, WithANamespaceOfItsParentStandsElsewhere) {
    EXPECT_TRUE(parsed(named + number_attribute(IFLA_LINK_NETNSID, 0))->parent_is_elsewhere);
}

TEST(Link, OfMacvlanHasItsSortedAddresses) {
    const auto link = parsed(
        named +
        kind("macvtap", number_attribute(IFLA_MACVLAN_MODE, 16U) +
                            number_attribute(IFLA_MACVLAN_FLAGS, uint16_t{1}) +
                            number_attribute(IFLA_MACVLAN_BC_QUEUE_LEN, 1000U) +
                            attribute(IFLA_MACVLAN_MACADDR_DATA,
                                      attribute(4, bytes_in(two)) + attribute(4, bytes_in(one)))));
    ASSERT_TRUE(link);
    EXPECT_EQ(link->kind, "macvtap");
    EXPECT_EQ(link->mode, 16U);
    EXPECT_EQ(link->kind_flags, 1);
    EXPECT_EQ(link->broadcast_queue_length, 1000U);
    EXPECT_THAT(link->allowed_macs, ElementsAre(one, two));
}

TEST(Link, OfIpvlanHasAModeOfTwoBytes) {
    const auto link =
        parsed(named + kind("ipvtap", number_attribute(IFLA_IPVLAN_MODE, uint16_t{2}) +
                                          number_attribute(IFLA_IPVLAN_FLAGS, uint16_t{1})));
    ASSERT_TRUE(link);
    EXPECT_EQ(link->mode, 2U);
    EXPECT_EQ(link->kind_flags, 1);
}

TEST(Link, OfAnotherKindHasNothingOfMacvlans) {
    const auto link = parsed(named + kind("veth", number_attribute(IFLA_MACVLAN_MODE, 16U)));
    ASSERT_TRUE(link);
    EXPECT_EQ(link->kind, "veth");
    EXPECT_EQ(link->mode, 0U);
}

TEST(NoLink, IsAnotherMessage) {
    EXPECT_FALSE(parsed(named, RTM_DELLINK));
    EXPECT_FALSE(parsed(named, NLMSG_ERROR));
}

TEST(NoLink, IsAMessageCutShort) {
    for (size_t length = 0; length < head().size(); ++length) {
        EXPECT_FALSE(parsed(named.substr(0, length))) << length;
    }
    HandMadeMessage message(RTM_NEWLINK, 0, named);
    message.header()->nlmsg_len = sizeof(nlmsghdr) - 1;
    EXPECT_FALSE(parse_link(message.header()));
}

TEST(NoLink, HasNoNameOrNoIndex) {
    EXPECT_FALSE(parsed(head()));
    EXPECT_FALSE(parsed(head() + text_attribute(IFLA_IFNAME, "")));
    EXPECT_FALSE(parsed(head(0) + text_attribute(IFLA_IFNAME, "tl0")));
    EXPECT_FALSE(parsed(head(-1) + text_attribute(IFLA_IFNAME, "tl0")));
}

TEST(LinkWithLies, EndsAtAnAttributeLongerThanTheMessage) {
    const auto link = parsed(named + attribute(IFLA_IFALIAS, "short", 4000));
    ASSERT_TRUE(link);
    EXPECT_EQ(link->alias, "");
    EXPECT_FALSE(parsed(head() + attribute(IFLA_IFNAME, "tl0", 4000)));
}

TEST(LinkWithLies, HasNoNumberFromTooFewBytes) {
    const auto link = parsed(named + attribute(IFLA_MTU, "ab") + attribute(IFLA_TXQLEN, ""));
    ASSERT_TRUE(link);
    EXPECT_EQ(link->mtu, 0U);
    EXPECT_EQ(link->queue_length, 0U);
}

TEST(LinkWithLies, HasNoAddressOfAnotherLength) {
    for (const char* bytes : {"", "12345", "1234567", "12345678901234567890"}) {
        EXPECT_EQ(parsed(named + attribute(IFLA_ADDRESS, bytes))->mac, std::nullopt) << bytes;
    }
}

TEST(LinkWithLies, HasATextThatEndsWithItsAttribute) {
    const auto link = parsed(head() + attribute(IFLA_IFNAME, "tl0") + number_attribute(99, 1));
    ASSERT_TRUE(link);
    EXPECT_EQ(link->name, "tl0");
}

TEST(LinkWithLies, HasNoKindFromANestThatDoesNotFit) {
    const std::string info = text_attribute(IFLA_INFO_KIND, "macvtap");
    const auto link = parsed(named + attribute(IFLA_LINKINFO, info, 6));
    ASSERT_TRUE(link);
    EXPECT_EQ(link->kind, "");
}

TEST(LinkWithLies, HasTheAddressesBeforeTheOneThatDoesNotFit) {
    const auto link =
        parsed(named + kind("macvtap", attribute(IFLA_MACVLAN_MACADDR_DATA,
                                                 attribute(4, bytes_in(one)) + attribute(4, "odd") +
                                                     attribute(4, bytes_in(two), 400))));
    ASSERT_TRUE(link);
    EXPECT_THAT(link->allowed_macs, ElementsAre(one));
}

TEST(LinkWithLies, HasNoAddressesFromAnEmptyList) {
    const auto link = parsed(named + kind("macvtap", attribute(IFLA_MACVLAN_MACADDR_DATA, "")));
    ASSERT_TRUE(link);
    EXPECT_THAT(link->allowed_macs, IsEmpty());
}

} // namespace
} // namespace tapline
