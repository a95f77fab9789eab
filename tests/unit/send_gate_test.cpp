#include "iouring/send_gate.h"

#include "iouring/iovec_copy.h"
#include "tests/unit/test_frame.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tapline {
namespace {

using Frame = std::vector<std::byte>;
using Kind = SendGate::Verdict::Kind;

const MacAddress own = MacAddress::parse("52:54:00:00:00:01");
constexpr size_t source_at = header_bytes + 6;

Frame frame_from(const MacAddress& mac, size_t bytes) {
    Frame frame = test_frame(1, bytes);
    std::ranges::copy(std::as_bytes(std::span(mac.bytes())), frame.begin() + source_at);
    frame[source_at + 6] = std::byte{0x88}; // Of no protocol that is looked into.
    frame[source_at + 7] = std::byte{0xb5};
    return frame;
}

std::vector<iovec> cut(Frame& frame, const std::vector<size_t>& sizes) {
    std::vector<iovec> parts;
    size_t offset = 0;
    for (const size_t bytes : sizes) {
        parts.push_back({.iov_base = frame.data() + offset, .iov_len = bytes});
        offset += bytes;
    }
    return parts;
}

Frame joined(std::span<const iovec> parts) {
    Frame frame;
    for (const iovec& part : parts) {
        const auto* bytes = static_cast<const std::byte*>(part.iov_base);
        frame.insert(frame.end(), bytes, bytes + part.iov_len);
    }
    return frame;
}

TEST(SendGate, PassesFramesWholeHoweverTheyAreCut) {
    const PortSecurity security({.macs = {own}}, own);
    SendGate gate(&security, nullptr, header_bytes);
    const std::vector<std::vector<size_t>> cuts = {
        {26},       {12, 14},    {12, 88},         {2000},          {12, 1988},
        {268, 100}, {267, 1, 1}, {1, 267, 5, 700}, {12, 300, 1, 1}, std::vector<size_t>(900, 1)};
    gate.begin_turn();
    for (const auto& sizes : cuts) {
        size_t bytes = 0;
        for (const size_t size : sizes) {
            bytes += size;
        }
        Frame frame = frame_from(own, bytes);
        const auto verdict = gate.look_at(cut(frame, sizes), bytes);
        ASSERT_EQ(verdict.kind, Kind::send);
        EXPECT_TRUE(joined(verdict.parts) == frame) << bytes;
        EXPECT_LE(verdict.parts.size(), sizes.size() + 1);
    }
}

// The guest writes to its memory while the frame is under way.
TEST(SendGate, SendsTheHeadersItLookedAt) {
    const PortSecurity security({.macs = {own}}, own);
    SendGate gate(&security, nullptr, header_bytes);
    gate.begin_turn();
    Frame frame = frame_from(own, 1526);
    const Frame sent = frame;
    const auto verdict = gate.look_at(cut(frame, {12, 1514}), frame.size());
    ASSERT_EQ(verdict.kind, Kind::send);
    std::ranges::fill(std::span(frame).first(header_bytes + 256), std::byte{0xff});
    EXPECT_TRUE(joined(verdict.parts) == sent);
}

TEST(SendGate, DropsWhatPortSecurityRefusesAndPassesTheNext) {
    const PortSecurity security({.macs = {own}}, own);
    SendGate gate(&security, nullptr, header_bytes);
    gate.begin_turn();
    Frame bad = frame_from(MacAddress::parse("52:54:00:00:00:02"), 100);
    Frame good = frame_from(own, 100);
    const auto refused = gate.look_at(cut(bad, {100}), 100);
    EXPECT_EQ(refused.kind, Kind::drop);
    EXPECT_EQ(refused.why, Drop::spoofed_mac);
    const auto passed = gate.look_at(cut(good, {100}), 100);
    EXPECT_EQ(passed.kind, Kind::send);
    EXPECT_TRUE(joined(passed.parts) == good);
}

TEST(SendGate, LooksAtHeadersOfTenBytesAsWell) {
    const PortSecurity security({.macs = {own}}, own);
    constexpr size_t legacy_header_bytes = 10;
    SendGate gate(&security, nullptr, legacy_header_bytes);
    gate.begin_turn();
    Frame frame = frame_from(own, 100);
    const auto verdict = gate.look_at(cut(frame, {100}), 100);
    EXPECT_EQ(verdict.kind, Kind::drop); // Two bytes further there is another address.
    frame.erase(frame.begin(), frame.begin() + 2);
    EXPECT_EQ(gate.look_at(cut(frame, {98}), 98).kind, Kind::send);
}

TEST(SendGate, LetsFramesOverTheRateWait) {
    RateLimit limit(RateLimit::Rates::parse("1fps,burst=3f"), RateLimit::now());
    SendGate gate(nullptr, &limit, header_bytes);
    Frame frame = frame_from(own, 100);
    const auto parts = cut(frame, {100});
    gate.begin_turn();
    for (unsigned i = 0; i < 3; ++i) {
        EXPECT_EQ(gate.look_at(parts, 100).kind, Kind::send);
        EXPECT_FALSE(gate.wait());
    }
    EXPECT_EQ(gate.look_at(parts, 100).kind, Kind::wait);
    ASSERT_TRUE(gate.wait());
    EXPECT_GT(*gate.wait(), RateLimit::Time::zero());
    EXPECT_LE(*gate.wait(), std::chrono::seconds(1));
    gate.begin_turn();
    EXPECT_FALSE(gate.wait());
}

// Each segment counts; what is refused costs nothing.
TEST(SendGate, CountsAgainstTheRateWhatWillBeOnTheWire) {
    RateLimit limit(RateLimit::Rates::parse("1fps,burst=10f"), RateLimit::now());
    const PortSecurity security({.macs = {own}}, own);
    SendGate gate(&security, &limit, header_bytes);
    Frame segments = frame_from(own, header_bytes + 66 + 10'000);
    segments[1] = std::byte{1};    // gso_type
    segments[4] = std::byte{0xe8}; // gso_size
    segments[5] = std::byte{3};
    Frame bad = frame_from(MacAddress::parse("52:54:00:00:00:02"), 100);
    gate.begin_turn();
    for (unsigned i = 0; i < 100; ++i) {
        EXPECT_EQ(gate.look_at(cut(bad, {100}), 100).kind, Kind::drop);
    }
    EXPECT_EQ(gate.look_at(cut(segments, {segments.size()}), segments.size()).kind, Kind::send);
    Frame good = frame_from(own, 100);
    EXPECT_EQ(gate.look_at(cut(good, {100}), 100).kind, Kind::wait);
}

} // namespace
} // namespace tapline
