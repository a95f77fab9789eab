#include "tests/unit/virtqueue_fixture.h"

#include <deque>

namespace tapline::vhost {
namespace {

using Layout = fakes::DriverRing::Layout;

constexpr uint64_t packed = vhost::bits(Feature::ring_packed, Feature::indirect_desc);
constexpr uint16_t odd_size = 7; // 2.8.10.1: no power of two is needed.

class Packed : public PackedVirtqueueFixture, public testing::WithParamInterface<uint64_t> {
protected:
    Packed() : PackedVirtqueueFixture({.size = odd_size, .features = packed | GetParam()}) {}
};

TEST_P(Packed, EmptyRingHasNothing) {
    EXPECT_FALSE(peek());
    EXPECT_FALSE(queue_->publish());
    EXPECT_EQ(queue_->fault(), RingFault::none);
}

TEST_P(Packed, ChainsComeAsTheyWereAdded) {
    for (const Layout layout : {Layout::direct, Layout::indirect}) {
        const uint16_t id = add({readable(10), readable(20), writable(30)}, layout);
        const auto chain = peek();
        ASSERT_TRUE(chain);
        EXPECT_EQ(chain->id, id);
        EXPECT_EQ(chain->slots, layout == Layout::direct ? 3 : 1);
        EXPECT_EQ(chain->readable_bytes, 30u);
        EXPECT_EQ(chain->writable_bytes, 30u);
        complete_one(25);
        EXPECT_EQ(driver_.next_used()->length, 25u);
    }
}

TEST_P(Packed, ChainsOfAllLengthsGoRoundManyLaps) {
    std::deque<uint16_t> in_ring;
    unsigned added = 0;
    for (int turn = 0; turn < 300; ++turn) {
        const size_t length = 1 + added % 3;
        std::vector<fakes::Buffer> chain;
        for (size_t i = 0; i < length; ++i) {
            chain.push_back(
                {.address = ram_.region().guest_address + 64 * i, .length = 8, .writable = false});
        }
        while (const auto id = driver_.add(chain)) {
            in_ring.push_back(*id);
            ++added;
        }
        ASSERT_FALSE(in_ring.empty());
        const size_t taken = 1 + static_cast<size_t>(turn) % in_ring.size();
        queue_->rewind();
        for (size_t i = 0; i < taken; ++i) {
            parts_.clear();
            Chain found{};
            ASSERT_TRUE(queue_->peek(parts_, found));
            ASSERT_EQ(found.id, in_ring[i]);
            queue_->complete(found, 0);
        }
        EXPECT_FALSE(driver_.next_used()) << "seen before it was published";
        queue_->publish();
        for (size_t i = 0; i < taken; ++i) {
            const auto used = driver_.next_used();
            ASSERT_TRUE(used);
            EXPECT_EQ(used->id, in_ring.front());
            in_ring.pop_front();
        }
        EXPECT_FALSE(driver_.next_used());
    }
}

TEST_P(Packed, LookingTakesNothing) {
    const uint16_t first = add({readable(10)});
    const uint16_t second = add({readable(20), readable(30)});
    EXPECT_EQ(peek(1)->id, second);
    EXPECT_EQ(peek(0)->id, first);
    EXPECT_EQ(queue_->base(), driver_.first_base());
}

TEST_P(Packed, WholeRingIsSeenOnce) {
    for (uint16_t i = 0; i < odd_size; ++i) {
        add({readable(10)});
    }
    EXPECT_EQ(waiting(), odd_size);
    EXPECT_EQ(queue_->fault(), RingFault::none);
}

TEST_P(Packed, AnotherQueueGoesOnWhereOneEnded) {
    for (int i = 0; i < 3 * odd_size; ++i) {
        const uint16_t id = add({readable(10), readable(10)});
        complete_one();
        EXPECT_EQ(driver_.next_used()->id, id);
        Vring vring;
        vring.size = odd_size;
        vring.base = queue_->base();
        vring.addresses = driver_.addresses(0);
        queue_ = Virtqueue::make(vring, memory_, packed | GetParam());
    }
}

TEST_P(Packed, WithoutABaseTheFirstLapBegins) {
    Vring vring;
    vring.size = odd_size;
    vring.addresses = driver_.addresses(0);
    queue_ = Virtqueue::make(vring, memory_, packed);
    add({readable(10)});
    EXPECT_TRUE(peek());
}

// libkrun and Alioth let every ring begin at 0, which says that the wrap counter is 0, too.
TEST_P(Packed, FirstLapBeginsAtZeroAsWell) {
    Vring vring;
    vring.size = odd_size;
    vring.addresses = driver_.addresses(0);
    for (int i = 0; i < 3 * odd_size; ++i) {
        vring.base = i == 0 ? 0 : queue_->base();
        queue_ = Virtqueue::make(vring, memory_, packed | GetParam());
        EXPECT_FALSE(peek()) << i;
        // One from the end of the second lap into the third, whose first slot is thus never marked
        // as used: when the fourth begins, it looks as if it were available for the first time.
        const bool across = i == 2 * odd_size - 1;
        const uint16_t id = across ? add({readable(10), readable(10)}) : add({readable(10)});
        ASSERT_TRUE(peek()) << i;
        complete_one();
        EXPECT_EQ(driver_.next_used()->id, id) << i;
    }
}

TEST_P(Packed, DriverThatWantsCallsIsCalledEachTime) {
    for (int i = 0; i < 3 * odd_size; ++i) {
        ASSERT_TRUE(driver_.enable_calls());
        add({writable(64), writable(64)});
        EXPECT_TRUE(complete_one()) << i;
        EXPECT_TRUE(driver_.next_used());
    }
}

TEST_P(Packed, DriverThatWantsNoCallsIsNotCalled) {
    add({writable(64)});
    complete_one();
    driver_.next_used();
    driver_.disable_calls();
    for (int i = 0; i < 2 * odd_size; ++i) {
        add({writable(64)});
        EXPECT_FALSE(complete_one()) << i;
        driver_.next_used();
    }
}

TEST_P(Packed, KickIsWantedOnceAskedFor) {
    for (int i = 0; i < 3 * odd_size; ++i) {
        EXPECT_FALSE(peek());
        EXPECT_FALSE(queue_->enable_kicks());
        add({readable(10), readable(10)});
        EXPECT_TRUE(driver_.kick_is_wanted()) << i;
        queue_->disable_kicks();
        add({readable(10)});
        EXPECT_FALSE(driver_.kick_is_wanted()) << i;
        complete_one();
        complete_one();
        driver_.next_used();
        driver_.next_used();
    }
}

TEST_P(Packed, ChainThatCameBeforeTheWishIsTold) {
    EXPECT_FALSE(peek());
    add({readable(10)});
    EXPECT_TRUE(queue_->enable_kicks());
}

INSTANTIATE_TEST_SUITE_P(Events, Packed, testing::Values(0, vhost::bits(Feature::event_idx)),
                         [](const auto& test) { return test.param == 0 ? "Flags" : "Index"; });

class PackedEventIndex : public PackedVirtqueueFixture {
protected:
    PackedEventIndex()
        : PackedVirtqueueFixture({.size = odd_size, .features = packed | bit(Feature::event_idx)}) {
    }
};

// 2.8.21.3.1
TEST_F(PackedEventIndex, OnlyTheWantedPositionCalls) {
    const auto pass = [&](unsigned count) {
        for (unsigned i = 0; i < count; ++i) {
            add({readable(10)});
        }
        for (unsigned i = 0; i < count; ++i) {
            queue_->complete(*peek(), 0);
        }
        return queue_->publish();
    };
    pass(1); // The first calls in any case.
    for (int lap = 0; lap < 5; ++lap) {
        while (driver_.next_used()) {}
        ASSERT_TRUE(driver_.enable_calls());
        EXPECT_TRUE(pass(3)) << lap;
        EXPECT_FALSE(pass(2)) << "the wish was spent, lap " << lap;
        EXPECT_FALSE(pass(1)) << lap;
    }
}

} // namespace
} // namespace tapline::vhost
