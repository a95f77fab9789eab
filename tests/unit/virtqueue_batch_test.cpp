// What a queue of either layout does for many chains at once is the same as one by one.
#include "tests/unit/virtqueue_fixture.h"

#include <cstring>

namespace tapline::vhost {
namespace {

using fakes::Buffer;
using Layout = fakes::DriverRing::Layout;

template <typename Driver> class VirtqueueBatch : public VirtqueueWith<Driver> {
protected:
    static constexpr uint64_t layout =
        (std::is_same_v<Driver, fakes::PackedDriverRing> ? bit(Feature::ring_packed) : 0) |
        bit(Feature::indirect_desc);

    VirtqueueBatch() : VirtqueueWith<Driver>({.size = 16, .features = layout}) {}

    void add_unusual(unsigned number) {
        switch (number % 4) {
        case 0:
            this->add({this->readable(10), this->readable(20)});
            break;
        case 1:
            this->add({this->writable(30)});
            break;
        case 2:
            this->add({this->readable(10), this->writable(20)}, Layout::indirect);
            break;
        default:
            this->add({this->readable(40), this->writable(50)});
        }
    }

    // After a chain that was looked at in full the queue knows where buffers lie.
    void show_where_buffers_are() {
        this->add({this->writable(8)});
        this->complete_one(1);
        ASSERT_TRUE(this->driver_.next_used());
    }

    size_t place(std::span<Delivery> deliveries) { return this->queue_->place(deliveries); }
};

using Drivers = testing::Types<fakes::SplitDriverRing, fakes::PackedDriverRing>;
TYPED_TEST_SUITE(VirtqueueBatch, Drivers);

bool same(std::span<const iovec> a, std::span<const iovec> b) {
    return std::ranges::equal(a, b, [](const iovec& one, const iovec& other) {
        return one.iov_base == other.iov_base && one.iov_len == other.iov_len;
    });
}

TYPED_TEST(VirtqueueBatch, LooksAtManyAsAtOne) {
    for (unsigned lap = 0; lap < 20; ++lap) { // Round the ring at all its places.
        this->add({this->readable(10)});
        this->add({this->readable(20)});
        this->add_unusual(lap);
        this->add({this->readable(30)});
        this->add({this->readable(40)});

        std::vector<Chain> alone(5);
        IovecList parts(2 * chain_parts_max);
        this->queue_->rewind();
        for (Chain& chain : alone) {
            ASSERT_TRUE(this->queue_->peek(parts, chain));
        }
        std::vector<Chain> together(7);
        this->parts_.clear();
        this->queue_->rewind();
        ASSERT_EQ(this->queue_->peek(this->parts_, together), alone.size());
        EXPECT_EQ(this->parts_.size(), parts.size());
        for (size_t i = 0; i < alone.size(); ++i) {
            EXPECT_EQ(together[i].id, alone[i].id);
            EXPECT_EQ(together[i].slots, alone[i].slots);
            EXPECT_TRUE(same(together[i].readable, alone[i].readable));
            EXPECT_TRUE(same(together[i].writable, alone[i].writable));
            EXPECT_EQ(together[i].readable_bytes, alone[i].readable_bytes);
            EXPECT_EQ(together[i].writable_bytes, alone[i].writable_bytes);
        }
        this->queue_->complete_unwritten(std::span(together).first(alone.size()));
        this->queue_->publish();
        for (const Chain& chain : alone) {
            const auto used = this->driver_.next_used();
            ASSERT_TRUE(used);
            EXPECT_EQ(used->id, chain.id);
            EXPECT_EQ(used->length, 0u);
        }
    }
}

TYPED_TEST(VirtqueueBatch, LooksAtAsManyAsThereAre) {
    for (int i = 0; i < 4; ++i) {
        this->add({this->readable(8)});
    }
    std::array<Chain, 3> chains{};
    EXPECT_EQ(this->queue_->peek(this->parts_, chains), 3u);
    EXPECT_EQ(this->queue_->peek(this->parts_, chains), 1u);
    EXPECT_EQ(this->queue_->peek(this->parts_, chains), 0u);
}

TYPED_TEST(VirtqueueBatch, CountsChainsThatWereOnlyLookedAt) {
    this->add({this->readable(8)});
    this->add({this->readable(8)});
    std::array<Chain, 2> chains{};
    ASSERT_EQ(this->queue_->peek(this->parts_, chains), 2u);
    EXPECT_EQ(this->queue_->available(2), 2u);
    EXPECT_EQ(this->queue_->available(3), 2u);
}

TYPED_TEST(VirtqueueBatch, StopsWhereAChainMayFindNoRoom) {
    this->add({this->readable(8), this->readable(8)});
    this->add({this->readable(8), this->readable(8)});
    std::array<Chain, 2> chains{};
    IovecList scarce(chain_parts_max + 1); // A chain may need all but one.
    EXPECT_EQ(this->queue_->peek(scarce, chains), 1u);
}

TYPED_TEST(VirtqueueBatch, PlacesFramesRoundManyLaps) {
    this->show_where_buffers_are();
    for (unsigned lap = 0; lap < 20; ++lap) {
        std::vector<Buffer> buffers;
        for (unsigned i = 0; i < 7; ++i) {
            buffers.push_back(this->writable(100));
            this->add({buffers.back()});
        }
        std::vector<Delivery> deliveries(9, {.bytes = 60 + lap, .place = nullptr});
        ASSERT_EQ(this->place(deliveries), buffers.size());
        EXPECT_FALSE(this->driver_.next_used()) << "seen before it was published";
        this->queue_->publish();
        for (size_t i = 0; i < buffers.size(); ++i) {
            EXPECT_EQ(deliveries[i].place,
                      this->memory_->at_guest_address(buffers[i].address, 100));
            EXPECT_EQ(this->driver_.next_used()->length, 60 + lap);
        }
        EXPECT_FALSE(this->driver_.next_used());
    }
}

TYPED_TEST(VirtqueueBatch, PlacesNothingInUnusualChains) {
    this->show_where_buffers_are();
    std::vector<Delivery> deliveries(3, {.bytes = 100, .place = nullptr});
    const std::vector<std::vector<Buffer>> unusual = {{this->writable(99)},
                                                      {this->writable(90), this->writable(90)},
                                                      {this->readable(100)},
                                                      {this->readable(10), this->writable(100)}};
    for (const auto& chain : unusual) {
        this->add({this->writable(100)});
        this->add(chain);
        EXPECT_EQ(this->place(deliveries), 1u);
        EXPECT_EQ(this->place(deliveries), 0u);
        this->complete_one(5); // The usual way goes on behind it.
        EXPECT_EQ(this->driver_.next_used()->length, 100u);
        EXPECT_EQ(this->driver_.next_used()->length, 5u);
    }
}

TYPED_TEST(VirtqueueBatch, PlacesNothingOutsideMemory) {
    this->show_where_buffers_are();
    const MemoryRegion region = this->ram_.region();
    this->add(
        {{.address = region.guest_address + region.size - 50, .length = 100, .writable = true}});
    std::vector<Delivery> deliveries(1, {.bytes = 10, .place = nullptr});
    EXPECT_EQ(this->place(deliveries), 0u);
    EXPECT_FALSE(this->peek());
    EXPECT_EQ(this->queue_->fault(), RingFault::descriptor_outside_memory);
    EXPECT_EQ(this->queue_->available(1), 0u) << "of a broken queue";
}

TYPED_TEST(VirtqueueBatch, CountsWhatIsAvailable) {
    EXPECT_EQ(this->queue_->available(4), 0u);
    for (unsigned i = 0; i < 5; ++i) {
        this->add({this->writable(10)});
    }
    EXPECT_EQ(this->queue_->available(4), 4u);
    EXPECT_EQ(this->queue_->available(9), 5u);
    this->add({this->writable(10), this->writable(20)});
    EXPECT_EQ(this->queue_->available(9), 6u);
    this->complete_one();
    EXPECT_EQ(this->queue_->available(9), 5u);
}

TYPED_TEST(VirtqueueBatch, CountsNoMoreThanTheRingHolds) {
    for (unsigned i = 0; i < 16; ++i) {
        this->add({this->writable(10)});
    }
    EXPECT_EQ(this->queue_->available(40), 16u);
}

} // namespace
} // namespace tapline::vhost
