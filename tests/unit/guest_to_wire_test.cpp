#include "iouring/guest_to_wire.h"

#include "tests/fakes/wire.h"
#include "tests/unit/test_frame.h"
#include "tests/unit/virtqueue_fixture.h"

#include <gtest/gtest.h>

#include <cstring>

namespace tapline {
namespace {

using fakes::Buffer;
using vhost::Feature;
using vhost::RingFault;

constexpr size_t ethernet_header_bytes = 14;
constexpr size_t shortest = header_bytes + ethernet_header_bytes;

// Driver, ring and wire on one thread: a turn is over when turn() returns.
class GuestToWireTest : public vhost::VirtqueueFixture {
protected:
    GuestToWireTest()
        : vhost::VirtqueueFixture({.size = 256, .features = bit(Feature::indirect_desc)}) {
        ring_->enable();
    }

    void turn(GuestToWire& path, unsigned most = frames_per_turn_max) {
        path.collect(*ring_, most);
        ring_->submit();
        ring_->for_each_completion(
            [&](Tag tag, int32_t result, bool) { path.refused(tag.slot(), result); });
        path.publish();
    }
    void turn() { turn(path_); }

    void send(const std::vector<std::byte>& frame) { send(frame, {frame.size()}); }
    void send(const std::vector<std::byte>& frame, const std::vector<size_t>& parts) {
        std::vector<Buffer> chain;
        size_t offset = 0;
        for (const size_t bytes : parts) {
            chain.push_back(readable(static_cast<uint32_t>(bytes)));
            std::memcpy(ram_.at(chain.back().address), frame.data() + offset, bytes);
            offset += bytes;
        }
        add(chain);
    }

    unsigned taken_back() {
        unsigned count = 0;
        while (const auto used = driver_.next_used()) {
            EXPECT_EQ(used->length, 0u);
            ++count;
        }
        return count;
    }

    uint64_t dropped(Drop why) const { return counters_.drops[static_cast<size_t>(why)].value(); }

    // The wire has this frame next, and nothing was lost on the way.
    void expect_on_wire(const std::vector<std::byte>& frame) {
        const auto received = wire_.receive(std::chrono::milliseconds::zero());
        ASSERT_TRUE(received) << "no frame came";
        EXPECT_TRUE(*received == frame);
    }
    void expect_quiet_wire() { EXPECT_FALSE(wire_.receive(std::chrono::milliseconds::zero())); }

    fakes::Wire wire_;
    std::unique_ptr<Ring> ring_ = Ring::create(wire_.tap_fd());
    DirectionCounters counters_;
    GuestToWire path_{*queue_, header_bytes, GuestToWire::Fate::send, counters_};
};

TEST_F(GuestToWireTest, NothingToSendMovesNothing) {
    turn();
    expect_quiet_wire();
    EXPECT_EQ(counters_.frames.value(), 0u);
}

TEST_F(GuestToWireTest, FrameReachesTheWireWhole) {
    const auto frame = test_frame(1, 1526);
    send(frame);
    turn();
    expect_on_wire(frame);
    EXPECT_EQ(taken_back(), 1u);
    EXPECT_EQ(counters_.frames.value(), 1u);
    EXPECT_EQ(counters_.bytes.value(), 1526u - header_bytes);
}

TEST_F(GuestToWireTest, FrameOfManyPartsIsOneFrame) {
    const auto frame = test_frame(1, 1526);
    send(frame, {12, 1, 500, 1013});
    turn();
    expect_on_wire(frame);
    expect_quiet_wire();
}

TEST_F(GuestToWireTest, LargestFrameReachesTheWire) {
    const auto frame = test_frame(1, 65562);
    send(frame, {12, 32768, 32782});
    turn();
    expect_on_wire(frame);
}

TEST_F(GuestToWireTest, ShortestFrameReachesTheWire) {
    const auto frame = test_frame(1, shortest);
    send(frame);
    turn();
    expect_on_wire(frame);
}

TEST_F(GuestToWireTest, MoreFramesThanATurnTakesKeepTheirOrder) {
    constexpr uint32_t count = 2 * frames_per_turn_max + 7;
    for (uint32_t i = 0; i < count; ++i) {
        send(test_frame(i, 60 + i));
    }
    unsigned turns = 0;
    while (counters_.frames.value() < count && turns < count) {
        turn();
        ++turns;
    }
    EXPECT_EQ(turns, 3u);
    EXPECT_EQ(taken_back(), count);
    for (uint32_t i = 0; i < count; ++i) {
        expect_on_wire(test_frame(i, 60 + i));
    }
}

TEST_F(GuestToWireTest, TurnTakesNoMoreThanItsShare) {
    for (uint32_t i = 0; i < 5; ++i) {
        send(test_frame(i, 60));
    }
    for (const unsigned taken : {3u, 2u}) {
        turn(path_, 3);
        EXPECT_EQ(taken_back(), taken);
    }
    for (uint32_t i = 0; i < 5; ++i) {
        expect_on_wire(test_frame(i, 60));
    }
}

TEST_F(GuestToWireTest, ChainTooShortForAFrameIsDroppedAndTheNextPasses) {
    const auto good = test_frame(2, 100);
    send(test_frame(1, shortest - 1));
    send(good);
    turn();
    expect_on_wire(good);
    expect_quiet_wire();
    EXPECT_EQ(dropped(Drop::too_short), 1u);
    EXPECT_EQ(counters_.frames.value(), 1u);
}

TEST_F(GuestToWireTest, ChainLongerThanAnyFrameIsDroppedAndTheNextPasses) {
    const auto good = test_frame(2, 100);
    add({readable(40000), readable(40000)});
    send(good);
    turn();
    expect_on_wire(good);
    expect_quiet_wire();
    EXPECT_EQ(dropped(Drop::too_long), 1u);
    EXPECT_EQ(counters_.frames.value(), 1u);
}

TEST_F(GuestToWireTest, ChainToWriteToIsDroppedAndTheNextPasses) {
    const auto good = test_frame(2, 100);
    add({readable(100), writable(100)});
    add({writable(100)});
    send(good);
    turn();
    expect_on_wire(good);
    expect_quiet_wire();
    EXPECT_EQ(taken_back(), 3u);
    EXPECT_EQ(dropped(Drop::not_readable), 2u);
    EXPECT_EQ(counters_.frames.value(), 1u);
}

TEST_F(GuestToWireTest, FrameTheTapRefusesIsCountedAndTakenBack) {
    wire_.refuse_frames();
    send(test_frame(1, 100));
    turn();
    EXPECT_EQ(taken_back(), 1u);
    EXPECT_EQ(dropped(Drop::refused_by_tap), 1u);
    EXPECT_EQ(counters_.frames.value(), 0u);
    EXPECT_EQ(counters_.bytes.value(), 0u);
}

// A socket that nobody reads is, for a moment, what a kernel without memory is.
TEST_F(GuestToWireTest, FrameTheTapHasNoRoomForIsCountedAndLaterOnesPass) {
    const auto large = test_frame(1, 60000);
    const Buffer buffer = readable(60000);
    std::memcpy(ram_.at(buffer.address), large.data(), large.size());
    unsigned sent = 0;
    for (; dropped(Drop::tap_busy) == 0 && sent < 10000; ++sent) {
        add({buffer});
        turn();
        EXPECT_EQ(taken_back(), 1u);
    }
    ASSERT_EQ(dropped(Drop::tap_busy), 1u);
    EXPECT_EQ(counters_.frames.value(), sent - 1);
    for (unsigned number = 0; number + 1 < sent; ++number) {
        expect_on_wire(large);
    }
    expect_quiet_wire();
    const auto good = test_frame(7, 100);
    send(good);
    turn();
    expect_on_wire(good);
    EXPECT_EQ(dropped(Drop::refused_by_tap), 0u);
}

TEST_F(GuestToWireTest, FramesOverTheRateStayInTheRingInTheirOrder) {
    const auto start = RateLimit::now();
    RateLimit slow(RateLimit::Rates::parse("1fps,burst=3f"), start);
    GuestToWire limited(*queue_, header_bytes, GuestToWire::Fate::send, counters_,
                        std::make_unique<SendGate>(nullptr, &slow, header_bytes));
    for (uint32_t i = 0; i < 5; ++i) {
        send(test_frame(i, 100));
    }
    turn(limited);
    EXPECT_EQ(taken_back(), 3u);
    EXPECT_TRUE(limited.wait());
    EXPECT_EQ(counters_.frames.value(), 3u);
    queue_->rewind();
    turn(); // Of a worker without limit, for the rest.
    EXPECT_EQ(taken_back(), 2u);
    for (uint32_t i = 0; i < 5; ++i) {
        expect_on_wire(test_frame(i, 100));
    }
    expect_quiet_wire();
}

TEST_F(GuestToWireTest, FrameThatPortSecurityRefusesIsCountedAndTheNextPasses) {
    const auto good = test_frame(2, 100);
    MacAddress::Bytes source{};
    std::memcpy(source.data(), good.data() + header_bytes + source.size(), source.size());
    const PortSecurity security({.macs = {MacAddress(source)}}, MacAddress(source));
    GuestToWire secure(*queue_, header_bytes, GuestToWire::Fate::send, counters_,
                       std::make_unique<SendGate>(&security, nullptr, header_bytes));
    send(test_frame(1, 100));
    send(good);
    turn(secure);
    expect_on_wire(good);
    expect_quiet_wire();
    EXPECT_EQ(taken_back(), 2u);
    EXPECT_EQ(dropped(Drop::spoofed_mac), 1u);
    EXPECT_EQ(counters_.frames.value(), 1u);
}

TEST_F(GuestToWireTest, DisabledRingIsEmptiedWithoutSending) {
    GuestToWire path(*queue_, header_bytes, GuestToWire::Fate::discard, counters_);
    send(test_frame(1, 100));
    send(test_frame(2, 100));
    turn(path);
    EXPECT_EQ(taken_back(), 2u);
    EXPECT_EQ(dropped(Drop::disabled), 2u);
    EXPECT_EQ(counters_.frames.value(), 0u);
    expect_quiet_wire();
}

TEST_F(GuestToWireTest, FramesInFrontOfABrokenChainStillGo) {
    const auto good = test_frame(1, 100);
    send(good);
    driver_.add_head(1000);
    send(test_frame(2, 100));
    turn();
    turn();
    expect_on_wire(good);
    expect_quiet_wire();
    EXPECT_EQ(queue_->fault(), RingFault::head_out_of_range);
    EXPECT_EQ(taken_back(), 1u);
}

TEST_F(GuestToWireTest, FramesOfMoreThanATurnsPartsAllGo) {
    constexpr uint32_t frames = 6;
    constexpr size_t parts = 1000; // Not neighbours in memory: every other byte.
    std::vector<std::vector<std::byte>> sent;
    for (uint32_t i = 0; i < frames; ++i) {
        sent.push_back(test_frame(i, parts));
        const uint64_t at = ram_.allocate(2 * parts);
        const uint64_t table = ram_.allocate(16 * parts);
        for (uint16_t part = 0; part < parts; ++part) {
            *ram_.at(at + 2u * part) = sent.back()[part];
            const bool last = part + 1 == parts;
            const fakes::SplitDriverRing::Descriptor entry{
                .address = at + 2u * part,
                .length = 1,
                .flags = last ? uint16_t{0} : fakes::SplitDriverRing::next_flag,
                .next = static_cast<uint16_t>(part + 1)};
            std::memcpy(ram_.at(table + 16u * part), &entry, sizeof entry);
        }
        driver_.table()[i] = {.address = table,
                              .length = 16 * parts,
                              .flags = fakes::SplitDriverRing::indirect_flag,
                              .next = 0};
        driver_.add_head(static_cast<uint16_t>(i));
    }
    for (uint32_t i = 0; i < frames; ++i) { // At least one a turn.
        turn();
    }
    for (const auto& frame : sent) {
        expect_on_wire(frame);
    }
}

TEST_F(GuestToWireTest, FrameInMemoryTakenAwayIsRefusedAndTheNextPasses) {
    constexpr uint64_t kept = 1 << 20;
    const auto good = test_frame(2, 100);
    const Buffer near = readable(100);
    std::memcpy(ram_.at(near.address), good.data(), good.size());
    ram_.allocate(kept);
    send(test_frame(1, 100));
    add({near});
    ASSERT_EQ(ftruncate(ram_.fd(), kept), 0);
    turn();
    expect_on_wire(good);
    expect_quiet_wire();
    EXPECT_EQ(dropped(Drop::refused_by_tap), 1u);
    EXPECT_EQ(taken_back(), 2u);
}

} // namespace
} // namespace tapline
