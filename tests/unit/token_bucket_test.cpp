#include "iouring/token_bucket.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace tapline {
namespace {

using namespace std::chrono_literals;
using Time = TokenBucket::Time;

constexpr Time start = 1234567s + 89ns;

TEST(TokenBucket, IsFullAtTheStartAndEmptyAfterItsBurst) {
    TokenBucket bucket({.per_second = 1000, .burst = 10}, start);
    EXPECT_EQ(bucket.credit(start), 10);
    EXPECT_TRUE(bucket.take(4, start));
    EXPECT_TRUE(bucket.take(6, start));
    EXPECT_FALSE(bucket.take(1, start));
    EXPECT_EQ(bucket.credit(start), 0);
}

TEST(TokenBucket, FillsAtItsRateUpToItsBurst) {
    TokenBucket bucket({.per_second = 1000, .burst = 10}, start);
    ASSERT_TRUE(bucket.take(10, start));
    EXPECT_EQ(bucket.credit(start + 999us), 0);
    EXPECT_EQ(bucket.credit(start + 1ms), 1);
    EXPECT_EQ(bucket.credit(start + 9ms), 9);
    EXPECT_EQ(bucket.credit(start + 24h), 10);
    EXPECT_TRUE(bucket.take(10, start + 24h));
    EXPECT_FALSE(bucket.take(1, start + 24h));
}

TEST(TokenBucket, TakesAllOrNothing) {
    TokenBucket bucket({.per_second = 1000, .burst = 10}, start);
    ASSERT_TRUE(bucket.take(8, start));
    EXPECT_FALSE(bucket.take(3, start));
    EXPECT_TRUE(bucket.take(2, start));
}

TEST(TokenBucket, LetsPassWhatIsOverItsBurstWhenFullAndIsOwedTheRest) {
    TokenBucket bucket({.per_second = 1000, .burst = 10}, start);
    EXPECT_TRUE(bucket.take(50, start));
    EXPECT_EQ(bucket.credit(start), -40);
    EXPECT_FALSE(bucket.take(50, start + 49ms));
    EXPECT_TRUE(bucket.take(50, start + 50ms));
}

TEST(TokenBucket, OwesWhatWasUsedUnasked) {
    TokenBucket bucket({.per_second = 1000, .burst = 10}, start);
    bucket.charge(25, start);
    EXPECT_EQ(bucket.credit(start), -15);
    EXPECT_FALSE(bucket.take(1, start + 15ms));
    EXPECT_TRUE(bucket.take(1, start + 16ms));
}

TEST(TokenBucket, WhatIsGivenBackCanBeTakenAgain) {
    TokenBucket bucket({.per_second = 1, .burst = 10}, start);
    ASSERT_TRUE(bucket.take(10, start));
    bucket.give_back(10);
    EXPECT_EQ(bucket.credit(start), 10);
}

TEST(TokenBucket, TellsHowLongToWait) {
    for (const uint64_t rate : {uint64_t{1}, uint64_t{7}, uint64_t{999'999'937}, rate_max}) {
        TokenBucket bucket({.per_second = rate, .burst = 3000}, start);
        EXPECT_EQ(bucket.wait(3000, start), Time::zero());
        ASSERT_TRUE(bucket.take(3000, start));
        for (const uint64_t amount : {1, 1500, 3000, 9000}) {
            const Time wait = bucket.wait(amount, start);
            ASSERT_GT(wait, Time::zero());
            EXPECT_LE(bucket.wait(amount, start + wait), Time::zero()) << rate;
            const Time token(1'000'000'000 / rate + 2); // The one that comes first may be near.
            EXPECT_FALSE(bucket.take(amount, start + wait - token)) << rate;
        }
    }
}

// Whatever is taken when: no more than the burst and what came since, and nothing is lost to
// rounding while there is always someone who takes.
TEST(TokenBucket, GivesExactlyItsRate) {
    for (const uint64_t rate : {uint64_t{3}, uint64_t{1'234'567}, rate_max}) {
        TokenBucket bucket({.per_second = rate, .burst = rate}, start);
        ASSERT_TRUE(bucket.take(rate, start));
        uint64_t taken = 0;
        Time now = start;
        for (unsigned step = 1; step <= 10000; ++step) {
            now += Time(step * 7919 % 1'000'003);
            const int64_t credit = bucket.credit(now);
            if (credit > 0 && bucket.take(static_cast<uint64_t>(credit), now)) {
                taken += static_cast<uint64_t>(credit);
            }
            const double came =
                static_cast<double>(rate) * std::chrono::duration<double>(now - start).count();
            ASSERT_NEAR(static_cast<double>(taken), came, 2 + came * 1e-12);
        }
    }
}

TEST(TokenBucket, CountsOnWhereItsNumbersWrapAround) {
    const Time late = std::chrono::seconds((uint64_t{1} << 63) / rate_max * 2 - 1);
    TokenBucket bucket({.per_second = rate_max, .burst = rate_max}, late);
    ASSERT_TRUE(bucket.take(rate_max, late));
    for (Time now = late + 1s; now < late + 5s; now += 1s) {
        EXPECT_TRUE(bucket.take(rate_max, now));
        EXPECT_FALSE(bucket.take(1, now));
    }
}

TEST(TokenBucket, GivesSeveralThreadsTogetherNoMoreThanOne) {
    constexpr uint64_t burst = 100'000;
    TokenBucket bucket({.per_second = 1, .burst = burst}, start);
    std::atomic<uint64_t> taken = 0;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            while (bucket.take(1, start)) {
                ++taken;
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(taken, burst);
}

} // namespace
} // namespace tapline
