#include "iouring/rate_limit.h"

#include "backend/base/error.h"

#include <gtest/gtest.h>

#include <string>

namespace tapline {
namespace {

using namespace std::chrono_literals;
using Rates = RateLimit::Rates;
using Load = RateLimit::Load;

constexpr RateLimit::Time start = 100s;

Rates bytes(uint64_t per_second, uint64_t burst) {
    return {.bytes = Rate{.per_second = per_second, .burst = burst}, .frames = {}};
}
Rates frames(uint64_t per_second, uint64_t burst) {
    return {.bytes = {}, .frames = Rate{.per_second = per_second, .burst = burst}};
}

TEST(Rates, AreReadWithTheirUnits) {
    EXPECT_EQ(Rates::parse("8kbit,burst=1b"), bytes(1000, 1));
    EXPECT_EQ(Rates::parse("100mbit,burst=64kb"), bytes(12'500'000, 64'000));
    EXPECT_EQ(Rates::parse("2gbit,burst=1mb"), bytes(250'000'000, 1'000'000));
    EXPECT_EQ(Rates::parse("burst=64kib,100gbit"), bytes(rate_max, 65536));
    EXPECT_EQ(Rates::parse("1kbit,burst=1mib"), bytes(125, 1 << 20));
    EXPECT_EQ(Rates::parse("7fps,burst=1f"), frames(7, 1));
    EXPECT_EQ(Rates::parse("10kfps,burst=2kf"), frames(10'000, 2000));
    EXPECT_EQ(Rates::parse("3mfps,burst=128f"), frames(3'000'000, 128));
}

TEST(Rates, MayLimitBytesAndFramesTogether) {
    const Rates rates = Rates::parse("1gbit,200kfps,burst=1mb,burst=128f");
    EXPECT_EQ(rates.bytes, bytes(125'000'000, 1'000'000).bytes);
    EXPECT_EQ(rates.frames, frames(200'000, 128).frames);
}

TEST(Rates, HaveABurstOfTenMillisecondsAndALargeFrameAtLeast) {
    EXPECT_EQ(Rates::parse("1gbit"), bytes(125'000'000, 1'250'000));
    EXPECT_EQ(Rates::parse("1mbit"), bytes(125'000, 65536));
    EXPECT_EQ(Rates::parse("100kfps"), frames(100'000, 1000));
    EXPECT_EQ(Rates::parse("10fps"), frames(10, 64));
}

TEST(Rates, AreRefusedWhereTheyMeanNothing) {
    for (const char* text : {"",
                             ",",
                             "100",
                             "mbit",
                             "100mbit,",
                             ",100mbit",
                             "100 mbit",
                             "1.5mbit",
                             "-1mbit",
                             "0mbit",
                             "+1mbit",
                             "101gbit",
                             "99999999999999999999kbit",
                             "100mbps",
                             "100Mbit",
                             "100mbit,200mbit",
                             "10fps,1kfps",
                             "2000000000fps",
                             "burst=64kb",
                             "100mbit,burst=",
                             "100mbit,burst=kb",
                             "100mbit,burst=0b",
                             "100mbit,burst=64",
                             "100mbit,burst=2000mb",
                             "100mbit,burst=64f",
                             "10fps,burst=64kb",
                             "100mbit,burst=1kb,burst=2kb",
                             "10fps,burst=1f,burst=2f",
                             "burst=1f,100mbit,burst=1b",
                             "100mbit,peak=200mbit"}) {
        EXPECT_THROW(Rates::parse(text), Error) << text;
    }
}

TEST(Loads, OfAFrameAreItsBytes) {
    EXPECT_EQ(Load::of({}, 1514).bytes, 1514u);
    EXPECT_EQ(Load::of({}, 1514).frames, 1u);
}

TEST(Loads, OfAFrameToBeSegmentedAreItsSegments) {
    VirtioNetHeader header{};
    header.gso_type = 1;
    header.gso_size = 1000;
    const Load load = Load::of(header, 66 + 10'000);
    EXPECT_EQ(load.frames, 10u);
    EXPECT_EQ(load.bytes, 10u * (66 + 1000));
    EXPECT_EQ(Load::of(header, 66 + 10'001).frames, 11u);
    EXPECT_EQ(Load::of(header, 66 + 1000).frames, 1u);
}

TEST(Loads, OfHeadersThatMakeNoSenseAreOneFrame) {
    VirtioNetHeader header{};
    header.gso_type = 1;
    EXPECT_EQ(Load::of(header, 60'000).frames, 1u);
    header.gso_size = 0xffff;
    EXPECT_EQ(Load::of(header, 14).frames, 1u);
    EXPECT_EQ(Load::of(header, 65'570).frames, 1u);
}

TEST(RateLimit, OfBytesAndFramesIsTheStricter) {
    RateLimit limit(Rates::parse("8mbit,burst=3kb,1kfps,burst=2f"), start);
    EXPECT_TRUE(limit.take({.bytes = 1000, .frames = 1}, start));
    EXPECT_TRUE(limit.take({.bytes = 1000, .frames = 1}, start));
    EXPECT_FALSE(limit.take({.bytes = 1000, .frames = 1}, start)) << "of frames";
    EXPECT_TRUE(limit.take({.bytes = 2000, .frames = 1}, start + 1ms));
    EXPECT_FALSE(limit.take({.bytes = 1000, .frames = 1}, start + 1ms)) << "of both";
    EXPECT_FALSE(limit.take({.bytes = 3000, .frames = 1}, start + 3ms)) << "of bytes";
    EXPECT_TRUE(limit.take({.bytes = 2000, .frames = 2}, start + 3ms)) << "a refusal costs nothing";
}

TEST(RateLimit, WaitsForTheSlower) {
    RateLimit limit(Rates::parse("8mbit,burst=3kb,1kfps,burst=2f"), start);
    constexpr Load load{.bytes = 3000, .frames = 1};
    EXPECT_EQ(limit.wait(load, start), RateLimit::Time::zero());
    ASSERT_TRUE(limit.take(load, start));
    const auto wait = limit.wait(load, start);
    EXPECT_GE(wait, 3ms);
    EXPECT_LE(wait, 3ms + 1us);
    EXPECT_TRUE(limit.take(load, start + wait));
}

TEST(RateLimit, LetsReadNoMoreOrdinaryFramesThanItHasRoomFor) {
    RateLimit limit(Rates::parse("8mbit,burst=4kb,1kfps,burst=10f"), start);
    EXPECT_EQ(limit.frames_to_read(64, start), 3u);
    EXPECT_EQ(limit.frames_to_read(2, start), 2u);
    limit.charge({.bytes = 60, .frames = 9}, start);
    EXPECT_EQ(limit.frames_to_read(64, start), 1u);
    limit.charge({.bytes = 60, .frames = 1}, start);
    EXPECT_EQ(limit.frames_to_read(64, start), 0u);
    limit.charge({.bytes = 65000, .frames = 45}, start);
    EXPECT_EQ(limit.frames_to_read(64, start + 45ms), 0u);
    EXPECT_GT(limit.frames_to_read(64, start + 65ms), 0u);
}

} // namespace
} // namespace tapline
