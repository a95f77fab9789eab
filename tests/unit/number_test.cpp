#include "backend/base/number.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace tapline {
namespace {

TEST(Number, BoundsAreIncluded) {
    EXPECT_EQ(parse_number<uint32_t>("MTU", "68", 68, 65535), 68u);
    EXPECT_EQ(parse_number<uint32_t>("MTU", "65535", 68, 65535), 65535u);
}

class NumberRefused : public testing::TestWithParam<std::string> {};

TEST_P(NumberRefused, ErrorNamesWhatTextAndBounds) {
    try {
        parse_number<uint16_t>("MTU", GetParam(), 68, 9000);
        FAIL() << "'" << GetParam() << "' was taken";
    } catch (const Error& error) {
        EXPECT_EQ(error.what(), "read MTU '" + GetParam() + "': not a number from 68 to 9000");
    }
}

INSTANTIATE_TEST_SUITE_P(Texts, NumberRefused,
                         testing::Values("", " ", "67", "9001", "65604", "-68", "+68", " 68", "68 ",
                                         "0x44", "68k", "6 8", "1e2", "99999999999999999999"));

TEST(Number, NegativeNumbersNeedASignedType) {
    EXPECT_EQ(parse_number<int>("offset", "-5", -10, 10), -5);
    EXPECT_THROW(parse_number<int>("offset", "-11", -10, 10), Error);
}

} // namespace
} // namespace tapline
