#include "vhost/dirty_log.h"

#include "tests/fakes/guest_ram.h"

#include <gtest/gtest.h>

#include <set>

namespace tapline::vhost {
namespace {

constexpr uint64_t page = 4096;
constexpr uint64_t log_bytes = 4; // 32 pages.

class DirtyLogTest : public testing::Test {
protected:
    // Numbers of the pages marked, with those behind the log that should never be.
    std::set<uint64_t> marked() const {
        std::set<uint64_t> pages;
        for (uint64_t number = 0; number < shared_.size() * 8; ++number) {
            const auto byte = std::to_integer<unsigned>(shared_.at(0)[number / 8]);
            if ((byte >> number % 8 & 1) != 0) {
                pages.insert(number);
            }
        }
        return pages;
    }

    using Pages = std::set<uint64_t>;
    fakes::GuestRam shared_{page, 0};
    DirtyLog log_{SharedMapping::map("log", shared_.fd(), 0, log_bytes), log_bytes};
};

TEST_F(DirtyLogTest, EachPageTouchedIsMarkedAndNoOther) {
    log_.mark(0, 1);
    log_.mark(2 * page - 1, 1);
    log_.mark(5 * page - 1, 2);
    EXPECT_EQ(marked(), (Pages{0, 1, 4, 5}));
}

TEST_F(DirtyLogTest, RangeAcrossManyBytesOfTheLogIsWhole) {
    log_.mark(6 * page + 17, 20 * page);
    Pages expected;
    for (uint64_t number = 6; number <= 26; ++number) {
        expected.insert(number);
    }
    EXPECT_EQ(marked(), expected);
}

TEST_F(DirtyLogTest, WholeLogHasABitForEachOfItsPages) {
    log_.mark(0, 32 * page);
    EXPECT_EQ(marked().size(), 32u);
}

TEST_F(DirtyLogTest, MarksAreAdded) {
    log_.mark(3 * page, page);
    log_.mark(4 * page, page);
    EXPECT_EQ(marked(), (Pages{3, 4}));
}

TEST_F(DirtyLogTest, NothingIsMarkedForNothing) {
    log_.mark(3 * page, 0);
    EXPECT_EQ(marked(), Pages{});
}

TEST_F(DirtyLogTest, WhatLiesBeyondTheLogIsPassedOver) {
    log_.mark(31 * page, 1000 * page);
    log_.mark(32 * page, page);
    log_.mark(~uint64_t{0} - 5, 100);
    log_.mark(30 * page, ~uint64_t{0});
    EXPECT_EQ(marked(), (Pages{30, 31}));
}

} // namespace
} // namespace tapline::vhost
