#include "backend/ip_prefix.h"

#include "backend/base/error.h"

#include <gtest/gtest.h>

#include <string>

namespace tapline {
namespace {

TEST(IpPrefix, ReadsAndWritesTheSameText) {
    EXPECT_EQ(IpPrefix::parse_address("192.0.2.7/24").text(), "192.0.2.7/24");
    EXPECT_EQ(IpPrefix::parse_address("2001:db8::7/64").text(), "2001:db8::7/64");
    EXPECT_EQ(IpPrefix::parse_network("192.0.2.64/26").text(), "192.0.2.64/26");
    EXPECT_EQ(IpPrefix::parse_network("2001:db8:1::/48").text(), "2001:db8:1::/48");
}

TEST(IpPrefix, WithoutLengthIsTheAddressAlone) {
    EXPECT_EQ(IpPrefix::parse_address("192.0.2.7").length(), 32U);
    EXPECT_EQ(IpPrefix::parse_address("2001:db8::7").length(), 128U);
    EXPECT_EQ(IpPrefix::parse_network("192.0.2.7").text(), "192.0.2.7/32");
}

TEST(IpPrefix, NetworkLosesTheBitsBehindItsLength) {
    EXPECT_EQ(IpPrefix::parse_address("192.0.2.77/26").network().text(), "192.0.2.64/26");
    EXPECT_EQ(IpPrefix::parse_address("192.0.2.77/25").network().text(), "192.0.2.0/25");
    EXPECT_EQ(IpPrefix::parse_address("2001:db8::ffff/121").network().text(), "2001:db8::ff80/121");
    EXPECT_EQ(IpPrefix::parse_address("192.0.2.77").network().text(), "192.0.2.77/32");
}

TEST(IpPrefix, NetworksOfTwoAddressesHaveTwoStations) {
    EXPECT_EQ(IpPrefix::parse_address("192.0.2.0/31").text(), "192.0.2.0/31");
    EXPECT_EQ(IpPrefix::parse_address("192.0.2.1/31").text(), "192.0.2.1/31");
    EXPECT_EQ(IpPrefix::parse_address("2001:db8::/127").text(), "2001:db8::/127");
}

TEST(IpPrefix, TheLastAddressOfAnIpv6NetworkIsAStations) {
    EXPECT_EQ(IpPrefix::parse_address("2001:db8::ffff/112").text(), "2001:db8::ffff/112");
}

struct Refused {
    std::string text;
    std::string cause;
};

void PrintTo(const Refused& refused, std::ostream* out) {
    *out << "'" << refused.text << "'";
}

std::string sentence(IpPrefix (*parse)(std::string_view), const std::string& text) {
    try {
        return "taken as " + parse(text).text();
    } catch (const Error& error) {
        return error.what();
    }
}

constexpr const char* no_address = "neither an IPv4 nor an IPv6 address";
constexpr const char* no_length_v4 = "not a number from 0 to 32";
constexpr const char* no_length_v6 = "not a number from 0 to 128";

class NoPrefixes : public testing::TestWithParam<Refused> {};

TEST_P(NoPrefixes, AreRefusedInEachRoleWithTheirCause) {
    for (const auto parse :
         {IpPrefix::parse_address, IpPrefix::parse_network, IpPrefix::parse_source}) {
        const std::string told = sentence(parse, GetParam().text);
        EXPECT_NE(told.find(GetParam().cause), std::string::npos) << told;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Texts, NoPrefixes,
    testing::Values(
        Refused{"", no_address}, Refused{"/24", no_address}, Refused{"any", no_address},
        Refused{"default", no_address}, Refused{"localhost", no_address},
        Refused{"192.0.2", no_address}, Refused{"192.0.2.256", no_address},
        Refused{"0xc0.0.2.1", no_address}, Refused{"192.0.2.01", no_address},
        Refused{" 192.0.2.1", no_address}, Refused{"192.0.2.1 ", no_address},
        Refused{"2001:db8::1%eth0", no_address}, Refused{"2001:db8:::1", no_address},
        Refused{"52:54:00:12:34:56", no_address}, Refused{"192.0.2.1/", no_length_v4},
        Refused{"192.0.2.1/33", no_length_v4}, Refused{"192.0.2.1/-1", no_length_v4},
        Refused{"192.0.2.1/24/24", no_length_v4}, Refused{"192.0.2.1/255.255.255.0", no_length_v4},
        Refused{"192.0.2.1/+24", no_length_v4}, Refused{"192.0.2.1/4294967320", no_length_v4},
        Refused{"2001:db8::1/129", no_length_v6}, Refused{"2001:db8::1/x", no_length_v6},
        Refused{"224.0.0.1", "multicast"}, Refused{"239.1.0.0/16", "multicast"},
        Refused{"ff02::1", "multicast"}, Refused{"127.0.0.1/8", "loopback"},
        Refused{"::1", "loopback"}, Refused{"0.0.0.0", "unspecified"}, Refused{"::", "unspecified"},
        Refused{"0.1.2.3", "unspecified"}, Refused{"255.255.255.255", "reserved"},
        Refused{"::ffff:192.0.2.1", "never travels as IPv6"}));

TEST(IpPrefix, OfAnInterfaceIsNotLinkLocal) {
    for (const auto parse : {IpPrefix::parse_address, IpPrefix::parse_network}) {
        EXPECT_NE(sentence(parse, "fe80::1/64").find("link-local"), std::string::npos);
    }
}

TEST(IpPrefix, OfSourcesIsAnyAddressOrNetworkOfGuests) {
    for (const char* text : {"192.0.2.7/32", "192.0.2.0/24", "2001:db8::/64", "fe80::/64",
                             "fe80::1/128", "0.0.0.0/0", "::/0"}) {
        EXPECT_EQ(IpPrefix::parse_source(text).text(), text);
    }
    EXPECT_EQ(IpPrefix::parse_source("192.0.2.7").text(), "192.0.2.7/32");
    EXPECT_EQ(sentence(IpPrefix::parse_source, "192.0.2.77/26"),
              "read source address '192.0.2.77/26': it has bits behind its length of 26 "
              "(write 192.0.2.64/26 or 192.0.2.77)");
    EXPECT_NE(sentence(IpPrefix::parse_source, "192.0.2.7/0").find("bits behind"),
              std::string::npos);
}

bool contains(const char* network, const char* address) {
    const IpPrefix one = IpPrefix::parse_source(address);
    return IpPrefix::parse_source(network).contains(one.family(), one.bytes());
}

TEST(IpPrefix, ContainsWhatBeginsWithItsBits) {
    EXPECT_TRUE(contains("192.0.2.7", "192.0.2.7"));
    EXPECT_FALSE(contains("192.0.2.7", "192.0.2.6"));
    EXPECT_TRUE(contains("192.0.2.64/26", "192.0.2.127"));
    EXPECT_FALSE(contains("192.0.2.64/26", "192.0.2.128"));
    EXPECT_TRUE(contains("192.0.2.0/24", "192.0.2.255"));
    EXPECT_FALSE(contains("192.0.2.0/24", "192.0.3.0"));
    EXPECT_TRUE(contains("0.0.0.0/0", "203.0.113.1"));
    EXPECT_FALSE(contains("0.0.0.0/0", "2001:db8::1"));
    EXPECT_TRUE(contains("::/0", "2001:db8::1"));
    EXPECT_FALSE(contains("::/0", "192.0.2.1"));
    EXPECT_TRUE(contains("fe80::/10", "febf::1"));
    EXPECT_FALSE(contains("fe80::/64", "fe80:0:0:1::1"));
    EXPECT_TRUE(contains("2001:db8::7", "2001:db8::7"));
    EXPECT_FALSE(contains("2001:db8::7", "2001:db8::8"));
}

TEST(IpPrefix, IsNoAddressWhereItNamesItsNetwork) {
    for (const char* text : {"192.0.2.0/24", "2001:db8::/64"}) {
        EXPECT_NE(sentence(IpPrefix::parse_address, text).find("the network's own"),
                  std::string::npos);
    }
    EXPECT_NE(sentence(IpPrefix::parse_address, "192.0.2.255/24").find("broadcast"),
              std::string::npos);
    EXPECT_NE(sentence(IpPrefix::parse_address, "192.0.2.1/0").find("length 0"), std::string::npos);
}

TEST(IpPrefix, IsNoNetworkWithBitsBehindItsLength) {
    EXPECT_EQ(sentence(IpPrefix::parse_network, "192.0.2.77/26"),
              "read route '192.0.2.77/26': it has bits behind its length of 26 "
              "(write 192.0.2.64/26 or 192.0.2.77)");
    EXPECT_NE(sentence(IpPrefix::parse_network, "0.0.0.0/0").find("a default route needs"),
              std::string::npos);
}

} // namespace
} // namespace tapline
