#include "tests/unit/virtqueue_fixture.h"

namespace tapline::vhost {
namespace {

// Both ways to ask for an event promise the same to both sides.
class Events : public VirtqueueFixture, public testing::WithParamInterface<uint64_t> {
protected:
    Events() : VirtqueueFixture({.features = GetParam(), .start = 65534}) {}

    void add_one() { add({writable(64)}); }
};

TEST_P(Events, NothingPublishedCallsNobody) {
    EXPECT_FALSE(queue_->publish());
}

TEST_P(Events, FirstChainEverCalls) {
    add_one();
    EXPECT_TRUE(complete_one());
}

TEST_P(Events, DriverThatWantsCallsIsCalledEachTime) {
    for (int i = 0; i < 6; ++i) { // Across the wrap of the indices.
        ASSERT_TRUE(driver_.enable_calls());
        add_one();
        EXPECT_TRUE(complete_one()) << i;
        EXPECT_TRUE(driver_.next_used());
    }
}

TEST_P(Events, DriverThatWantsNoCallsIsNotCalled) {
    add_one();
    complete_one();
    driver_.next_used();
    driver_.disable_calls();
    for (int i = 0; i < 3; ++i) {
        add_one();
        EXPECT_FALSE(complete_one()) << i;
    }
}

TEST_P(Events, BatchThatHoldsTheWantedChainCallsOnce) {
    add_one();
    complete_one();
    driver_.next_used();
    ASSERT_TRUE(driver_.enable_calls());
    for (int i = 0; i < 3; ++i) {
        add_one();
    }
    for (int i = 0; i < 3; ++i) {
        queue_->complete(*peek(), 0);
    }
    EXPECT_TRUE(queue_->publish());
    EXPECT_FALSE(queue_->publish());
}

TEST_P(Events, KickIsWantedOnceAskedFor) {
    EXPECT_EQ(waiting(), 0);
    EXPECT_FALSE(queue_->enable_kicks());
    add_one();
    EXPECT_TRUE(driver_.kick_is_wanted());
}

TEST_P(Events, KickIsAskedForTimeAndAgain) {
    for (int i = 0; i < 6; ++i) {
        EXPECT_EQ(waiting(), 0);
        EXPECT_FALSE(queue_->enable_kicks());
        add_one();
        EXPECT_TRUE(driver_.kick_is_wanted()) << i;
        queue_->disable_kicks();
        complete_one();
        driver_.next_used();
    }
}

TEST_P(Events, NoKickIsWantedWhileTheDeviceLooksItself) {
    waiting();
    queue_->enable_kicks();
    add_one();
    driver_.kick_is_wanted(); // This one wakes the device.
    queue_->disable_kicks();
    add_one();
    EXPECT_FALSE(driver_.kick_is_wanted());
}

// The chain came between the last look and the wish for a kick: nobody would ever tell.
TEST_P(Events, ChainThatCameBeforeTheWishIsTold) {
    EXPECT_EQ(waiting(), 0);
    add_one();
    EXPECT_TRUE(queue_->enable_kicks());
}

TEST_P(Events, ChainsThatAreKnownAreNotNews) {
    add_one();
    EXPECT_EQ(waiting(), 1);
    EXPECT_FALSE(queue_->enable_kicks());
    add_one();
    EXPECT_TRUE(driver_.kick_is_wanted());
}

INSTANTIATE_TEST_SUITE_P(Both, Events, testing::Values(0, bit(Feature::event_idx)),
                         [](const auto& choice) {
                             return choice.param == 0 ? "Flags" : "EventIndices";
                         });

class EventIndices : public VirtqueueFixture {
protected:
    EventIndices() : VirtqueueFixture({.features = bit(Feature::event_idx)}) {}
};

TEST_F(EventIndices, WishIsSpentByItsCall) {
    add({writable(64)});
    complete_one();
    driver_.next_used();
    ASSERT_TRUE(driver_.enable_calls()); // For the second chain.
    add({writable(64)});
    EXPECT_TRUE(complete_one());
    add({writable(64)});
    EXPECT_FALSE(complete_one()); // The wish is spent.
}

TEST_F(EventIndices, QueueThatIsOpenedAgainCallsAtItsFirstChain) {
    add({writable(64)});
    complete_one();
    driver_.next_used();
    Vring vring;
    vring.size = 8;
    vring.base = queue_->base();
    vring.addresses = driver_.addresses(0);
    queue_ = Virtqueue::make(vring, memory_, bit(Feature::event_idx));
    add({writable(64)});
    EXPECT_TRUE(complete_one());
}

} // namespace
} // namespace tapline::vhost
