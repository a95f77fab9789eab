#include "backend/mac_address.h"

#include "backend/base/error.h"

#include <gtest/gtest.h>

#include <string>

namespace tapline {
namespace {

TEST(MacAddress, ReadsAndWritesTheSameText) {
    EXPECT_EQ(MacAddress::parse("52:54:00:12:34:56").text(), "52:54:00:12:34:56");
    EXPECT_EQ(MacAddress::parse("00:00:00:00:00:01").text(), "00:00:00:00:00:01");
}

TEST(MacAddress, CapitalsMeanTheSame) {
    EXPECT_EQ(MacAddress::parse("52:54:00:AB:cD:Ef"), MacAddress::parse("52:54:00:ab:cd:ef"));
}

TEST(MacAddress, BytesAreInTheOrderOfTheText) {
    EXPECT_EQ(MacAddress::parse("02:03:04:05:06:ff").bytes(),
              (MacAddress::Bytes{0x02, 0x03, 0x04, 0x05, 0x06, 0xff}));
}

TEST(MacAddress, RandomOnesAreGuestsAddresses) {
    const MacAddress address = MacAddress::random();
    EXPECT_TRUE(address.text().starts_with("52:54:00:")) << address.text();
    EXPECT_EQ(MacAddress::parse(address.text()), address);
}

TEST(MacAddress, RandomOnesDiffer) {
    const MacAddress first = MacAddress::random();
    bool differs = false;
    for (int i = 0; i < 8; ++i) {
        differs |= MacAddress::random() != first;
    }
    EXPECT_TRUE(differs);
}

TEST(MacAddress, GroupsAreReadAsGroupsOnly) {
    EXPECT_EQ(MacAddress::parse_group("01:00:5e:01:02:03").text(), "01:00:5e:01:02:03");
    EXPECT_TRUE(MacAddress::parse_group("33:33:00:00:00:01").is_group());
    EXPECT_THROW(MacAddress::parse_group("52:54:00:12:34:56"), Error);
    EXPECT_THROW(MacAddress::parse_group("01:00:5e:01:02"), Error);
}

struct Refused {
    std::string text;
    const char* cause;
};

class MacAddressRefused : public testing::TestWithParam<Refused> {};

TEST_P(MacAddressRefused, ErrorNamesTextCauseAndForm) {
    try {
        MacAddress::parse(GetParam().text);
        FAIL() << "'" << GetParam().text << "' was taken";
    } catch (const Error& error) {
        const std::string sentence = "read MAC address '" + GetParam().text +
                                     "': " + GetParam().cause + " (write it as 52:54:00:12:34:56)";
        EXPECT_STREQ(error.what(), sentence.c_str());
    }
}

constexpr const char* no_pairs = "not six hexadecimal pairs";
constexpr const char* multicast = "a multicast address cannot belong to one guest";

INSTANTIATE_TEST_SUITE_P(
    Texts, MacAddressRefused,
    testing::Values(Refused{"", no_pairs}, Refused{"52:54:00:12:34", no_pairs},
                    Refused{"52:54:00:12:34:5", no_pairs}, Refused{"52:54:00:12:34:567", no_pairs},
                    Refused{"52:54:00:12:34:56:78", no_pairs},
                    Refused{"52-54-00-12-34-56", no_pairs}, Refused{"525400123456", no_pairs},
                    Refused{"52:54:00:12:34:5g", no_pairs}, Refused{" 2:54:00:12:34:56", no_pairs},
                    Refused{"+2:54:00:12:34:56", no_pairs}, Refused{"52:54:00:12:34:5\n", no_pairs},
                    Refused{std::string("52:54:00:12:34:5\0", 17), no_pairs},
                    Refused{"01:00:5e:00:00:01", multicast},
                    Refused{"ff:ff:ff:ff:ff:ff", multicast},
                    Refused{"00:00:00:00:00:00",
                            "the address of all zeros cannot belong to a guest"}));

} // namespace
} // namespace tapline
