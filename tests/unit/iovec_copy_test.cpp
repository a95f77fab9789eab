#include "iouring/iovec_copy.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>

namespace tapline {
namespace {

// Three parts of 4, 1 and 5 bytes.
class IovecCopy : public testing::Test {
protected:
    std::span<const std::byte> copy(std::string_view text, size_t offset = 0) {
        return copy_to_parts(std::as_bytes(std::span(text)), parts_, offset);
    }
    std::string parts_text() const { return first_ + second_ + third_; }

    std::string first_ = "....";
    std::string second_ = ".";
    std::string third_ = ".....";
    std::array<iovec, 3> parts_ = {{{first_.data(), first_.size()},
                                    {second_.data(), second_.size()},
                                    {third_.data(), third_.size()}}};
};

TEST_F(IovecCopy, BytesFillPartsInOrder) {
    EXPECT_TRUE(copy("abcdefg").empty());
    EXPECT_EQ(parts_text(), "abcdefg...");
}

TEST_F(IovecCopy, BytesThatJustFitLeaveNoRest) {
    EXPECT_TRUE(copy("abcdefghij").empty());
    EXPECT_EQ(parts_text(), "abcdefghij");
}

TEST_F(IovecCopy, WhatDoesNotFitIsReturned) {
    const auto rest = copy("abcdefghijkl");
    ASSERT_EQ(rest.size(), 2u);
    EXPECT_EQ(rest[0], std::byte{'k'});
    EXPECT_EQ(parts_text(), "abcdefghij");
}

TEST_F(IovecCopy, OffsetLeavesTheBeginningAlone) {
    for (size_t offset = 0; offset <= 8; ++offset) {
        first_ = "....";
        second_ = ".";
        third_ = ".....";
        EXPECT_TRUE(copy("ab", offset).empty());
        EXPECT_EQ(parts_text(), std::string("..........").replace(offset, 2, "ab")) << offset;
    }
}

TEST_F(IovecCopy, OffsetPastTheEndCopiesNothing) {
    EXPECT_EQ(copy("ab", 10).size(), 2u);
    EXPECT_EQ(copy("ab", 100).size(), 2u);
    EXPECT_EQ(parts_text(), "..........");
}

TEST_F(IovecCopy, NoPartsTakeNothing) {
    constexpr std::string_view text = "ab";
    EXPECT_EQ(copy_to_parts(std::as_bytes(std::span(text)), {}).size(), 2u);
}

TEST_F(IovecCopy, PartsReadBackAsOneRun) {
    copy("abcdefghij");
    for (size_t count = 0; count <= 10; ++count) {
        std::string read(count, '.');
        copy_from_parts(parts_, std::as_writable_bytes(std::span(read)));
        EXPECT_EQ(read, std::string("abcdefghij").substr(0, count));
    }
}

} // namespace
} // namespace tapline
