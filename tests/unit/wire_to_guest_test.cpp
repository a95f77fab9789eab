#include "tests/unit/wire_to_guest_fixture.h"

#include <random>

namespace tapline {
namespace {

using vhost::RingFault;

class Mergeable : public WireToGuestFixture {
protected:
    explicit Mergeable(uint16_t ring_size = 256)
        : WireToGuestFixture({.header_bytes = header_bytes, .mergeable = true}, ring_size) {}

    // From here on reads expect large frames.
    void make_large() {
        offer_buffers(2);
        const auto frame = test_frame(1000, 2 * buffer_bytes);
        wire_.send(frame);
        turn();
        expect_frame(frame, 2);
    }
};

TEST_F(Mergeable, EmptyTapIsTold) {
    offer_buffers(4);
    EXPECT_EQ(turn(), 1u);
    EXPECT_TRUE(path_.tap_is_empty());
    expect_no_frame();
    EXPECT_EQ(dropped(Drop::failed_read), 0u);
}

TEST_F(Mergeable, WithoutBuffersNothingIsRead) {
    wire_.send(test_frame(1, 100));
    EXPECT_EQ(turn(), 0u);
    offer_buffers(1);
    turn();
    expect_frame(test_frame(1, 100), 1);
}

TEST_F(Mergeable, SmallFramesTakeOneBufferEach) {
    offer_buffers(100);
    for (uint32_t i = 0; i < 100; ++i) {
        wire_.send(test_frame(i, 60 + 10 * i));
    }
    run();
    for (uint32_t i = 0; i < 100; ++i) {
        expect_frame(test_frame(i, 60 + 10 * i), 1);
    }
    EXPECT_EQ(counters_.frames.value(), 100u);
}

// It came between the two: the wire does not wait for a batch to end.
TEST_F(Mergeable, FrameBetweenReadsThatFoundNoneArrives) {
    offer_buffers(16);
    for (uint32_t i = 0; i < 3; ++i) { // A turn of one read, and one of two: then more are tried.
        wire_.send(test_frame(i, 100));
    }
    turn();
    turn();
    wire_.send(test_frame(3, 100));
    wire_.send(test_frame(4, 100));
    ASSERT_GE(path_.offer(*ring_), 3u);
    ring_->submit();
    ring_->for_each_completion(
        [&](Tag tag, int32_t result, bool) { path_.completed(tag.slot(), result); });
    path_.completed(0, -EAGAIN);
    path_.publish();
    EXPECT_TRUE(path_.tap_is_empty());
    for (const uint32_t i : {0u, 1u, 2u, 4u}) {
        expect_frame(test_frame(i, 100), 1);
    }
    expect_no_frame();
}

TEST_F(Mergeable, BytesAreCountedWithoutHeaders) {
    offer_buffers(8);
    wire_.send(test_frame(1, 112));
    wire_.send(test_frame(2, 5012));
    run();
    EXPECT_EQ(counters_.bytes.value(), 5100u);
    EXPECT_EQ(counters_.frames.value(), 2u);
}

TEST_F(Mergeable, FrameThatJustFitsTakesOneBuffer) {
    offer_buffers(8);
    wire_.send(test_frame(1, buffer_bytes));
    run();
    expect_frame(test_frame(1, buffer_bytes), 1);
}

TEST_F(Mergeable, FrameOneByteLongerTakesTwo) {
    offer_buffers(8);
    wire_.send(test_frame(1, buffer_bytes + 1));
    run();
    expect_frame(test_frame(1, buffer_bytes + 1), 2);
}

TEST_F(Mergeable, LargeFramesArriveWhole) {
    offer_buffers(200);
    for (uint32_t i = 0; i < 4; ++i) { // The first is a surprise, the others are expected.
        wire_.send(test_frame(i, 65562));
    }
    run();
    for (uint32_t i = 0; i < 4; ++i) {
        expect_frame(test_frame(i, 65562), 43);
    }
}

TEST_F(Mergeable, BurstsOfAnySizesKeepOrderAndContent) {
    constexpr size_t burst_bytes = 100'000; // The wire holds no more without a reader.
    std::mt19937 random(7);
    std::uniform_int_distribution<size_t> small(26, buffer_bytes);
    std::uniform_int_distribution<size_t> large(buffer_bytes + 1, 65562);
    uint32_t number = 0;
    offer_buffers(100);
    for (unsigned burst = 0; burst < 60; ++burst) {
        // From all small over mixed to all large, and runs that make it forget large ones.
        std::bernoulli_distribution is_large(burst % 6 / 5.0);
        std::vector<Frame> sent;
        for (size_t bytes = 0; bytes < burst_bytes; bytes += sent.back().size()) {
            sent.push_back(test_frame(number++, is_large(random) ? large(random) : small(random)));
            wire_.send(sent.back());
        }
        for (const Frame& frame : sent) {
            run();
            const size_t buffers = (frame.size() + buffer_bytes - 1) / buffer_bytes;
            expect_frame(frame, static_cast<uint16_t>(buffers));
            offer_again();
        }
    }
    EXPECT_EQ(counters_.frames.value(), number);
}

// Buffers that come while a read is under way lie behind its room for the rest.
TEST_F(Mergeable, LargeFrameTakesBuffersThatCameSinceItWasReadFor) {
    offer_buffers(8);
    wire_.send(test_frame(1, 10000));
    run();
    expect_frame(test_frame(1, 10000), 7);
    wire_.send(test_frame(2, 10000)); // For which there is one buffer.
    EXPECT_EQ(path_.offer(*ring_), 1u);
    offer_buffers(8);
    ring_->submit();
    ring_->for_each_completion(
        [&](Tag tag, int32_t result, bool) { path_.completed(tag.slot(), result); });
    path_.publish();
    expect_frame(test_frame(2, 10000), 7);
}

TEST_F(Mergeable, LargeFramesOfOneLengthAreReadMoreThanOneATurn) {
    offer_buffers(200);
    for (uint32_t i = 0; i < 16; ++i) {
        wire_.send(test_frame(i, 9026));
    }
    unsigned most = 0;
    while (!path_.tap_is_empty()) {
        most = std::max(most, turn());
    }
    EXPECT_GE(most, 8u);
    for (uint32_t i = 0; i < 16; ++i) {
        expect_frame(test_frame(i, 9026), 6);
    }
}

TEST_F(Mergeable, HeaderThatEndsInTheSecondPartGetsItsNumBuffers) {
    offer({writable(11), writable(2000)});
    offer_buffers(4);
    wire_.send(test_frame(1, 500));
    wire_.send(test_frame(2, 500));
    run();
    expect_frame(test_frame(1, 500), 1);
    expect_frame(test_frame(2, 500), 1);
}

TEST_F(Mergeable, ChainThatCanHoldNoFrameGoesBackEmptyAndTheNextIsUsed) {
    offer({readable(2000)});
    offer({readable(100), writable(2000)});
    offer({writable(header_bytes - 1)});
    offer_buffers(1);
    wire_.send(test_frame(1, 100));
    run();
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(next_chain(), Frame{});
    }
    expect_frame(test_frame(1, 100), 1);
    EXPECT_EQ(dropped(Drop::no_room_for_header), 3u);
}

TEST_F(Mergeable, ChainThatCanHoldNoFrameIsNeverWrittenTo) {
    make_large();
    const fakes::Buffer reserved = readable(4000);
    const Frame before(4000, std::byte{0x55});
    std::memcpy(ram_.at(reserved.address), before.data(), before.size());
    offer_buffers(1);
    offer({reserved});
    wire_.send(test_frame(1, 3000));
    turn();
    EXPECT_EQ(std::memcmp(ram_.at(reserved.address), before.data(), before.size()), 0)
        << "the frame went on into memory that the guest only lets us read";
}

TEST_F(Mergeable, BrokenChainIsNeverWrittenTo) {
    make_large();
    offer_buffers(1);
    const fakes::Buffer reserved = writable(4000);
    driver_.table()[200] = {.address = reserved.address,
                            .length = reserved.length,
                            .flags = fakes::SplitDriverRing::write_flag |
                                     fakes::SplitDriverRing::next_flag,
                            .next = 60000};
    driver_.add_head(200);
    wire_.send(Frame(3000, std::byte{0x55}));
    turn();
    EXPECT_EQ(*ram_.at(reserved.address), std::byte{0});
    EXPECT_EQ(queue_->fault(), RingFault::next_out_of_range);
}

TEST_F(Mergeable, LongUselessChainsDoNotHideAGoodOne) {
    for (unsigned i = 0; i < 4; ++i) { // Together they fill the list of parts.
        constexpr uint16_t parts = 1000;
        const uint64_t at = ram_.allocate(2 * parts);
        const uint64_t table = ram_.allocate(16 * parts);
        for (uint16_t part = 0; part < parts; ++part) {
            const bool last = part + 1 == parts;
            const fakes::SplitDriverRing::Descriptor entry{
                .address = at + 2u * part,
                .length = 1,
                .flags = last ? uint16_t{0} : fakes::SplitDriverRing::next_flag,
                .next = static_cast<uint16_t>(part + 1)};
            std::memcpy(ram_.at(table + 16u * part), &entry, sizeof entry);
        }
        driver_.table()[200 + i] = {.address = table,
                                    .length = 16 * parts,
                                    .flags = fakes::SplitDriverRing::indirect_flag,
                                    .next = 0};
        driver_.add_head(static_cast<uint16_t>(200 + i));
    }
    offer_buffers(1);
    wire_.send(test_frame(1, 100));
    EXPECT_EQ(turn(), 1u); // With no read the worker would sleep until the next kick.
    EXPECT_EQ(dropped(Drop::no_room_for_header), 4u);
    EXPECT_EQ(counters_.frames.value(), 1u);
}

TEST_F(Mergeable, FrameWaitsUntilThereAreBuffersForAllOfIt) {
    offer_buffers(2);
    wire_.send(test_frame(1, 3 * buffer_bytes));
    wire_.send(test_frame(2, 100));
    turn();
    EXPECT_TRUE(path_.holds_frame());
    EXPECT_EQ(turn(), 0u) << "what comes later must not overtake it";
    expect_no_frame();
    offer_buffers(2);
    turn();
    run();
    expect_frame(test_frame(1, 3 * buffer_bytes), 3);
    expect_frame(test_frame(2, 100), 1);
    EXPECT_FALSE(path_.holds_frame());
}

TEST_F(Mergeable, LargeFrameWaitsUntilThereAreBuffersForAllOfIt) {
    make_large();
    offer_buffers(2);
    wire_.send(test_frame(1, 3 * buffer_bytes));
    wire_.send(test_frame(2, 3 * buffer_bytes));
    turn();
    EXPECT_TRUE(path_.holds_frame());
    offer_buffers(4);
    turn();
    run();
    expect_frame(test_frame(1, 3 * buffer_bytes), 3);
    expect_frame(test_frame(2, 3 * buffer_bytes), 3);
}

// Together they have more parts than one system call takes, long before they hold a large frame.
TEST_F(Mergeable, LargeFrameArrivesWholeInChainsOfManyTinyParts) {
    constexpr uint32_t part_bytes = 32;
    constexpr size_t chain_bytes = 100 * part_bytes;
    offer_buffers(26);
    wire_.send(test_frame(1000, 26 * buffer_bytes)); // From here on such are expected.
    run();
    expect_frame(test_frame(1000, 26 * buffer_bytes), 26);
    for (unsigned i = 0; i < 20; ++i) {
        std::vector<fakes::Buffer> chain;
        for (size_t bytes = 0; bytes < chain_bytes; bytes += part_bytes) {
            chain.push_back(writable(part_bytes));
        }
        buffers_[add(chain, fakes::DriverRing::Layout::indirect)] = chain;
    }
    wire_.send(test_frame(1, 12 * chain_bytes + 1));
    wire_.send(test_frame(2, 100));
    run();
    expect_frame(test_frame(1, 12 * chain_bytes + 1), 13);
    expect_frame(test_frame(2, 100), 1);
}

// Else the worker would look again and again instead of sleeping until there are more.
TEST_F(Mergeable, BuffersThatAreTooFewForAWaitingFrameAreNoNews) {
    offer_buffers(2);
    wire_.send(test_frame(1, 3 * buffer_bytes));
    turn();
    ASSERT_TRUE(path_.holds_frame());
    EXPECT_EQ(path_.offer(*ring_), 0u);
    EXPECT_FALSE(queue_->enable_kicks());
    offer_buffers(1);
    EXPECT_TRUE(queue_->enable_kicks());
}

TEST_F(Mergeable, FrameGivenUpIsCountedAndTheNextArrives) {
    offer_buffers(1);
    wire_.send(test_frame(1, 2 * buffer_bytes));
    wire_.send(test_frame(2, 100));
    turn();
    ASSERT_TRUE(path_.holds_frame());
    path_.give_up_held();
    EXPECT_EQ(dropped(Drop::too_big_for_guest), 1u);
    run();
    expect_frame(test_frame(2, 100), 1);
}

TEST_F(Mergeable, FrameLongerThanAnyTapGivesIsDroppedAndTheNextArrives) {
    offer_buffers(4);
    wire_.send(test_frame(1, frame_bytes_max + 1));
    wire_.send(test_frame(2, 100));
    run();
    run();
    expect_frame(test_frame(2, 100), 1);
    EXPECT_EQ(dropped(Drop::too_big_for_guest), 1u);
}

TEST_F(Mergeable, MessageShorterThanAHeaderIsAFailedRead) {
    offer_buffers(4);
    wire_.send(Frame(header_bytes - 1));
    turn();
    EXPECT_EQ(dropped(Drop::failed_read), 1u);
    wire_.send(test_frame(1, 100));
    run();
    expect_frame(test_frame(1, 100), 1);
}

TEST_F(Mergeable, BufferInMemoryTakenAwayEndsNothing) {
    constexpr uint64_t kept = 1 << 20;
    ram_.allocate(kept);
    offer_buffers(1);
    ASSERT_EQ(ftruncate(ram_.fd(), kept), 0);
    wire_.send(test_frame(1, 100));
    turn();
    EXPECT_FALSE(path_.holds_frame());
}

TEST_F(Mergeable, ChainsInFrontOfABrokenOneAreUsed) {
    offer_buffers(1);
    driver_.add_head(1000);
    offer_buffers(1);
    wire_.send(test_frame(1, 100));
    wire_.send(test_frame(2, 100));
    turn();
    turn();
    expect_frame(test_frame(1, 100), 1);
    EXPECT_EQ(turn(), 0u);
    expect_no_frame();
    EXPECT_EQ(queue_->fault(), RingFault::head_out_of_range);
}

class SmallMergeableRing : public Mergeable {
protected:
    SmallMergeableRing() : Mergeable(4) {}
};

TEST_F(SmallMergeableRing, FrameThatAllOfItCannotHoldIsDroppedAndTheNextArrives) {
    offer_buffers(4);
    wire_.send(test_frame(1, 4 * buffer_bytes + 1));
    wire_.send(test_frame(2, 4 * buffer_bytes));
    run();
    run();
    expect_frame(test_frame(2, 4 * buffer_bytes), 4);
    EXPECT_EQ(dropped(Drop::too_big_for_guest), 1u);
}

class NotMergeable : public WireToGuestFixture {
protected:
    NotMergeable() : WireToGuestFixture({.header_bytes = header_bytes, .mergeable = false}) {}
};

// virtio 1.2, 5.1.6.4.1: without mergeable buffers a version 1 device says 1.
TEST_F(NotMergeable, FrameIsInOneBuffer) {
    offer_buffers(4);
    wire_.send(test_frame(1, 100));
    wire_.send(test_frame(2, buffer_bytes));
    run();
    expect_frame(test_frame(1, 100), 1);
    expect_frame(test_frame(2, buffer_bytes), 1);
}

TEST_F(NotMergeable, LargeFrameArrivesInALargeBuffer) {
    offer_buffers(4, 66000);
    wire_.send(test_frame(1, 65562));
    run();
    expect_frame(test_frame(1, 65562), 1);
}

TEST_F(NotMergeable, FrameBiggerThanItsBufferIsDroppedAndTheNextArrives) {
    offer_buffers(8);
    wire_.send(test_frame(1, buffer_bytes + 1));
    wire_.send(test_frame(2, 100));
    wire_.send(test_frame(3, 60000));
    wire_.send(test_frame(4, 200));
    for (int i = 0; i < 4; ++i) {
        run();
    }
    expect_frame(test_frame(2, 100), 1);
    expect_frame(test_frame(4, 200), 1);
    EXPECT_EQ(dropped(Drop::too_big_for_guest), 2u);
}

TEST_F(NotMergeable, OnlyBufferTakesTheFrameAfterOneThatIsTooBig) {
    offer_buffers(1);
    wire_.send(test_frame(1, buffer_bytes + 1));
    turn();
    EXPECT_EQ(dropped(Drop::too_big_for_guest), 1u);
    wire_.send(test_frame(2, buffer_bytes));
    turn();
    expect_frame(test_frame(2, buffer_bytes), 1);
}

class LegacyHeader : public WireToGuestFixture {
protected:
    LegacyHeader() : WireToGuestFixture({.header_bytes = 10, .mergeable = false}) {}
};

TEST_F(LegacyHeader, HasNoNumBuffersAndTheFrameComesAsItWas) {
    offer_buffers(4);
    const Frame sent(100, std::byte{0x77});
    wire_.send(sent);
    run();
    EXPECT_EQ(next_chain(), sent);
    EXPECT_EQ(counters_.bytes.value(), 90u);
}

// Full at the start and never again.
struct NearlyNothing {
    RateLimit limit{RateLimit::Rates::parse("1fps,burst=10f,1kbit,burst=1mb"), RateLimit::now()};
};

class Limited : protected NearlyNothing, public WireToGuestFixture {
protected:
    Limited()
        : WireToGuestFixture({.header_bytes = header_bytes, .mergeable = true}, 256, &limit) {}
};

TEST_F(Limited, FramesOverTheRateWaitInTheTapInTheirOrder) {
    offer_buffers(100);
    for (uint32_t i = 0; i < 15; ++i) {
        wire_.send(test_frame(i, 100));
    }
    run();
    EXPECT_EQ(counters_.frames.value(), 10u);
    ASSERT_TRUE(path_.wait());
    EXPECT_GT(*path_.wait(), RateLimit::Time::zero());
    EXPECT_FALSE(path_.tap_is_empty());
    WireToGuest unlimited(*queue_, {.header_bytes = header_bytes, .mergeable = true}, held_,
                          counters_);
    for (unsigned count = 0; count < 5; ++count) {
        unlimited.offer(*ring_);
        ring_->submit();
        ring_->for_each_completion(
            [&](Tag tag, int32_t result, bool) { unlimited.completed(tag.slot(), result); });
        unlimited.publish();
    }
    for (uint32_t i = 0; i < 15; ++i) {
        expect_frame(test_frame(i, 100), 1);
    }
}

TEST_F(Limited, SegmentsOfAFrameAllCount) {
    offer_buffers(100);
    auto whole = test_frame(1, 12 + 66 + 12'000);
    whole[1] = std::byte{1};    // gso_type
    whole[4] = std::byte{0xe8}; // gso_size, 1000
    whole[5] = std::byte{3};
    wire_.send(whole);
    wire_.send(test_frame(2, 100));
    run();
    EXPECT_EQ(counters_.frames.value(), 1u);
    ASSERT_TRUE(path_.wait());
    EXPECT_GT(*path_.wait(), std::chrono::seconds(2)) << "12 frames where 10 were allowed";
}

} // namespace
} // namespace tapline
