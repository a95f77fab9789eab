#include "hooks/libvirt/log_limit.h"

#include <gtest/gtest.h>

namespace tapline::libvirt {
namespace {

TEST(LogLimit, AllowsTheFirstLineAndTheNextAfterThePause) {
    const auto now = LogLimit::Clock::now();
    LogLimit limit;
    EXPECT_TRUE(limit.allows(now));
    EXPECT_FALSE(limit.allows(now));
    EXPECT_FALSE(limit.allows(now + LogLimit::pause - std::chrono::nanoseconds(1)));
    EXPECT_TRUE(limit.allows(now + LogLimit::pause));
}

TEST(LogLimit, WhatWasNotAllowedDoesNotPutOffTheNext) {
    const auto now = LogLimit::Clock::now();
    LogLimit limit;
    EXPECT_TRUE(limit.allows(now));
    EXPECT_FALSE(limit.allows(now + LogLimit::pause / 2));
    EXPECT_TRUE(limit.allows(now + LogLimit::pause));
    EXPECT_FALSE(limit.allows(now + LogLimit::pause + LogLimit::pause / 2));
}

} // namespace
} // namespace tapline::libvirt
