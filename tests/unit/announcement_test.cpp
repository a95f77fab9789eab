#include "iouring/announcement.h"

#include <gtest/gtest.h>

#include <vector>

namespace tapline {
namespace {

// RFC 903, byte by byte.
TEST(Announcement, IsAReverseRequestOfTheStationForItself) {
    const std::vector<int> expected = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 1, 2,
                                       3,    0x80, 0x35, 0,    1,    8,    0,    6,    4, 0, 3,
                                       0x52, 0x54, 0,    1,    2,    3,    0,    0,    0, 0, 0x52,
                                       0x54, 0,    1,    2,    3,    0,    0,    0,    0};
    const auto frame = announcement_of(MacAddress({0x52, 0x54, 0, 1, 2, 3}));
    for (size_t i = 0; i < frame.size(); ++i) {
        EXPECT_EQ(std::to_integer<int>(frame[i]), i < expected.size() ? expected[i] : 0) << i;
    }
}

} // namespace
} // namespace tapline
