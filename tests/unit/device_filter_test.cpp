#include "backend/device_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tapline {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr auto groups = "1    lo              1     0     333300000001\n"
                        "7    tl0             1     0     01005e000001\n"
                        "7    tl0             2     1     333300000001\n"
                        "7    tl0             1     1     01005e010203\n"
                        "17   tl1             1     1     01005e010204\n";

TEST(DeviceFilter, CountsTheGroupsThatWereJoinedByRequest) {
    EXPECT_THAT(parse_joined_groups(groups, 7),
                ElementsAre(MacAddress::parse_group("01:00:5e:01:02:03"),
                            MacAddress::parse_group("33:33:00:00:00:01")));
    EXPECT_THAT(parse_joined_groups(groups, 1), IsEmpty());
    EXPECT_THAT(parse_joined_groups(groups, 2), IsEmpty());
}

TEST(DeviceFilter, AddressesOfStationsAreNotGroups) {
    EXPECT_THAT(parse_joined_groups("7 tl0 1 1 525400123456\n", 7), IsEmpty());
}

TEST(DeviceFilter, LongerAddressesAndOtherTextAreNotGroups) {
    EXPECT_THAT(parse_joined_groups("7 ib0 1 1 00ffffff12401bffff000000000000010000ffff\n7\n", 7),
                IsEmpty());
}

} // namespace
} // namespace tapline
