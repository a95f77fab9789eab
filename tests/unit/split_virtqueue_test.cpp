#include "vhost/virtqueue.h"

#include "tests/unit/virtqueue_fixture.h"

#include <cstring>
#include <functional>

namespace tapline::vhost {
namespace {

using fakes::Buffer;
using Layout = fakes::SplitDriverRing::Layout;

size_t bytes_of(std::span<const iovec> parts) {
    size_t bytes = 0;
    for (const iovec& part : parts) {
        bytes += part.iov_len;
    }
    return bytes;
}

class SplitVirtqueueTest : public VirtqueueFixture {
protected:
    SplitVirtqueueTest() : VirtqueueFixture({.features = bit(Feature::indirect_desc)}) {}

    // The part and the buffer are the same memory.
    bool same(const iovec& part, const Buffer& buffer) {
        return part.iov_len == buffer.length &&
               part.iov_base == memory_->at_guest_address(buffer.address, buffer.length);
    }
};

TEST_F(SplitVirtqueueTest, EmptyRingHasNothing) {
    EXPECT_EQ(waiting(), 0);
    EXPECT_EQ(queue_->size(), 8);
    EXPECT_EQ(queue_->fault(), RingFault::none);
    EXPECT_FALSE(driver_.next_used());
}

TEST_F(SplitVirtqueueTest, OneBufferIsOnePart) {
    const Buffer sent = readable(100);
    const uint16_t head = add({sent});
    ASSERT_EQ(waiting(), 1);
    const auto chain = peek();
    ASSERT_TRUE(chain);
    EXPECT_EQ(chain->id, head);
    ASSERT_EQ(chain->readable.size(), 1u);
    EXPECT_TRUE(same(chain->readable[0], sent));
    EXPECT_TRUE(chain->writable.empty());
    EXPECT_EQ(chain->readable_bytes, 100u);
    EXPECT_EQ(chain->writable_bytes, 0u);
}

class ChainLayouts : public SplitVirtqueueTest, public testing::WithParamInterface<Layout> {};

TEST_P(ChainLayouts, ReadableAndWritablePartsComeApart) {
    const std::vector chain_sent = {readable(10), readable(20), writable(30), writable(40)};
    add(chain_sent, GetParam());
    const auto chain = peek();
    ASSERT_TRUE(chain);
    ASSERT_EQ(chain->readable.size(), 2u);
    ASSERT_EQ(chain->writable.size(), 2u);
    EXPECT_TRUE(same(chain->readable[0], chain_sent[0]));
    EXPECT_TRUE(same(chain->readable[1], chain_sent[1]));
    EXPECT_TRUE(same(chain->writable[0], chain_sent[2]));
    EXPECT_TRUE(same(chain->writable[1], chain_sent[3]));
    EXPECT_EQ(chain->readable_bytes, 30u);
    EXPECT_EQ(chain->writable_bytes, 70u);
}

TEST_P(ChainLayouts, NeighboursInMemoryAreOnePart) {
    const uint64_t at = ram_.allocate(300);
    add({{at, 100, false}, {at + 100, 50, false}, {at + 150, 150, false}}, GetParam());
    const auto chain = peek();
    ASSERT_TRUE(chain);
    ASSERT_EQ(chain->readable.size(), 1u);
    EXPECT_TRUE(same(chain->readable[0], {at, 300, false}));
}

TEST_P(ChainLayouts, NeighboursOfWhichOnlyOneIsWritableStayApart) {
    const uint64_t at = ram_.allocate(200);
    add({{at, 100, false}, {at + 100, 100, true}}, GetParam());
    const auto chain = peek();
    ASSERT_TRUE(chain);
    EXPECT_EQ(bytes_of(chain->readable), 100u);
    EXPECT_EQ(bytes_of(chain->writable), 100u);
}

TEST_P(ChainLayouts, EmptyBuffersAreNoParts) {
    const Buffer sent = readable(10);
    add({{sent.address, 0, false}, sent, {sent.address, 0, false}}, GetParam());
    const auto chain = peek();
    ASSERT_TRUE(chain);
    ASSERT_EQ(chain->readable.size(), 1u);
    EXPECT_TRUE(same(chain->readable[0], sent));
}

TEST_P(ChainLayouts, LongestChainOfTheRingIsTaken) {
    std::vector<Buffer> buffers;
    for (int i = 0; i < 8; ++i) {
        buffers.push_back(writable(16));
    }
    add(buffers, GetParam());
    const auto chain = peek();
    ASSERT_TRUE(chain);
    EXPECT_EQ(chain->writable_bytes, 8u * 16u);
}

INSTANTIATE_TEST_SUITE_P(Both, ChainLayouts, testing::Values(Layout::direct, Layout::indirect),
                         [](const auto& choice) {
                             return choice.param == Layout::direct ? "Direct" : "Indirect";
                         });

TEST_F(SplitVirtqueueTest, IndirectTableMayHaveMoreEntriesThanTheRing) {
    std::vector<Buffer> buffers;
    for (int i = 0; i < 20; ++i) {
        buffers.push_back(readable(16));
    }
    add(buffers, Layout::indirect);
    const auto chain = peek();
    ASSERT_TRUE(chain);
    EXPECT_EQ(chain->readable_bytes, 320u);
}

// Nothing in virtio 1.2, 2.7.5.3 asks for an alignment.
TEST_F(SplitVirtqueueTest, IndirectTableMayLieAtAnOddAddress) {
    const Buffer sent = readable(10);
    const uint64_t at = ram_.allocate(64) + 1;
    const fakes::SplitDriverRing::Descriptor entry{
        .address = sent.address, .length = sent.length, .flags = 0, .next = 0};
    std::memcpy(ram_.at(at), &entry, sizeof entry);
    driver_.table()[0] = {
        .address = at, .length = 16, .flags = fakes::SplitDriverRing::indirect_flag, .next = 0};
    driver_.add_head(0);
    const auto chain = peek();
    ASSERT_TRUE(chain);
    EXPECT_TRUE(same(chain->readable[0], sent));
}

TEST_F(SplitVirtqueueTest, IndirectTableMayFollowDirectParts) {
    const Buffer first = readable(10);
    const Buffer second = readable(20);
    const uint16_t indirect = add({second}, Layout::indirect);
    driver_.table()[7] = {.address = first.address,
                          .length = first.length,
                          .flags = fakes::SplitDriverRing::next_flag,
                          .next = indirect};
    driver_.add_head(7);
    const auto chain = peek(1);
    ASSERT_TRUE(chain);
    EXPECT_EQ(chain->id, 7);
    ASSERT_EQ(chain->readable.size(), 2u);
    EXPECT_TRUE(same(chain->readable[1], second));
}

TEST_F(SplitVirtqueueTest, LookingAheadTakesNothing) {
    const uint16_t first = add({readable(10)});
    const uint16_t second = add({readable(20)});
    EXPECT_EQ(peek(1)->id, second);
    EXPECT_EQ(peek(0)->id, first);
    EXPECT_EQ(waiting(), 2);
    EXPECT_EQ(queue_->base(), 0);
}

TEST_F(SplitVirtqueueTest, ChainsOfOneListStayValidTogether) {
    const Buffer first = readable(10);
    const Buffer second = readable(20);
    add({first});
    add({second});
    std::array<Chain, 2> chains{};
    ASSERT_TRUE(queue_->peek(parts_, chains[0]));
    ASSERT_TRUE(queue_->peek(parts_, chains[1]));
    EXPECT_TRUE(same(chains[0].readable[0], first));
    EXPECT_TRUE(same(chains[1].readable[0], second));
}

TEST_F(SplitVirtqueueTest, ChainsThatAreNeighboursInMemoryStayApart) {
    const uint64_t at = ram_.allocate(200);
    add({{at, 100, false}});
    add({{at + 100, 100, false}});
    std::array<Chain, 2> chains{};
    ASSERT_TRUE(queue_->peek(parts_, chains[0]));
    ASSERT_TRUE(queue_->peek(parts_, chains[1]));
    EXPECT_EQ(bytes_of(chains[0].readable), 100u);
    EXPECT_EQ(bytes_of(chains[1].readable), 100u);
}

TEST_F(SplitVirtqueueTest, WhatIsCompleteIsSeenOnlyOncePublished) {
    const uint16_t head = add({writable(100)});
    const auto chain = peek();
    ASSERT_TRUE(chain);
    queue_->complete(*chain, 42);
    EXPECT_FALSE(driver_.next_used());
    queue_->publish();
    const auto used = driver_.next_used();
    ASSERT_TRUE(used);
    EXPECT_EQ(used->id, head);
    EXPECT_EQ(used->length, 42u);
    EXPECT_EQ(queue_->base(), 1);
    EXPECT_FALSE(driver_.next_used());
}

class WrappingIndices : public VirtqueueFixture {
protected:
    WrappingIndices() : VirtqueueFixture({.size = 4, .start = 65533}) {}
};

TEST_F(WrappingIndices, GoOnAtZero) {
    for (uint32_t i = 0; i < 10; ++i) {
        const uint16_t head = add({writable(64)});
        ASSERT_EQ(waiting(), 1);
        complete_one(i);
        const auto used = driver_.next_used();
        ASSERT_TRUE(used);
        EXPECT_EQ(used->id, head);
        EXPECT_EQ(used->length, i);
    }
    EXPECT_EQ(queue_->base(), 7);
}

TEST_F(WrappingIndices, FullRingAcrossTheWrapIsFullAndNotBroken) {
    std::vector<uint16_t> heads;
    for (int i = 0; i < 4; ++i) {
        heads.push_back(add({writable(64)}));
    }
    EXPECT_EQ(waiting(), 4);
    for (const uint16_t head : heads) {
        complete_one();
        EXPECT_EQ(driver_.next_used()->id, head);
    }
    EXPECT_EQ(queue_->fault(), RingFault::none);
}

TEST_F(WrappingIndices, AnotherQueueGoesOnWhereOneStopped) {
    const uint16_t first = add({writable(64)});
    const uint16_t second = add({writable(64)});
    complete_one();
    const Vring vring{.size = 4,
                      .base = queue_->base(),
                      .addresses = driver_.addresses(0),
                      .kick = {},
                      .call = {},
                      .error = {}};
    queue_ = Virtqueue::make(vring, memory_, 0);
    EXPECT_EQ(waiting(), 1);
    complete_one();
    EXPECT_EQ(driver_.next_used()->id, first);
    EXPECT_EQ(driver_.next_used()->id, second);
    EXPECT_FALSE(driver_.next_used());
}

class RingPlaces : public VirtqueueFixture {
protected:
    std::optional<ProtocolFault> open_with(const std::function<void(Vring&)>& change) {
        Vring vring;
        vring.size = 8;
        vring.addresses = driver_.addresses(0);
        change(vring);
        return fault_of([&] { Virtqueue::make(vring, memory_, bit(Feature::event_idx)); });
    }
};

TEST_F(RingPlaces, OutsideMemoryAreRefused) {
    for (uint64_t VringAddresses::*part :
         {&VringAddresses::descriptors, &VringAddresses::available, &VringAddresses::used}) {
        const uint64_t end = ram_.region().user_address + ram_.size();
        for (const uint64_t address : {uint64_t{0}, end, end - 16, ~uint64_t{0} - 15}) {
            EXPECT_EQ(open_with([&](Vring& vring) { (*vring.addresses).*part = address; }),
                      ProtocolFault::ring_address);
        }
    }
}

TEST_F(RingPlaces, UpToTheLastByteOfMemoryAreTaken) {
    const uint64_t end = ram_.region().user_address + ram_.size();
    EXPECT_EQ(open_with([&](Vring& vring) { vring.addresses->descriptors = end - 8 * 16; }),
              accepted);
    // 6 bytes around the 8 heads; with event indices the last two count.
    EXPECT_EQ(open_with([&](Vring& vring) { vring.addresses->available = end - 22; }), accepted);
    EXPECT_EQ(open_with([&](Vring& vring) { vring.addresses->available = end - 20; }),
              ProtocolFault::ring_address);
}

TEST_F(RingPlaces, OffTheirAlignmentAreRefused) {
    EXPECT_EQ(open_with([](Vring& vring) { vring.addresses->descriptors += 8; }),
              ProtocolFault::ring_address);
    EXPECT_EQ(open_with([](Vring& vring) { vring.addresses->available += 1; }),
              ProtocolFault::ring_address);
    EXPECT_EQ(open_with([](Vring& vring) { vring.addresses->used += 2; }),
              ProtocolFault::ring_address);
}

// What the device gives back would make new chains available, without end.
TEST_F(RingPlaces, ThatOverlapAreRefused) {
    EXPECT_EQ(
        open_with([](Vring& vring) { vring.addresses->used = vring.addresses->available + 2; }),
        ProtocolFault::ring_address);
    EXPECT_EQ(open_with([](Vring& vring) { vring.addresses->used = vring.addresses->descriptors; }),
              ProtocolFault::ring_address);
    EXPECT_EQ(open_with([](Vring& vring) {
                  vring.addresses->available = vring.addresses->descriptors + 16;
              }),
              ProtocolFault::ring_address);
}

TEST_F(RingPlaces, OfAnEmptyMemoryTableAreRefused) {
    memory_ = GuestMemory::map({}, {});
    EXPECT_EQ(open_with([](Vring&) {}), ProtocolFault::ring_address);
}

TEST_F(RingPlaces, HoldTheLargestRing) {
    fakes::SplitDriverRing large(ram_, 32768, true);
    const Vring vring{.size = 32768,
                      .base = 0,
                      .addresses = large.addresses(0),
                      .kick = {},
                      .call = {},
                      .error = {}};
    queue_ = Virtqueue::make(vring, memory_, bit(Feature::event_idx));
    const Buffer sent = readable(10);
    for (int i = 0; i < 32768; ++i) {
        ASSERT_TRUE(large.add(std::span(&sent, 1)));
    }
    EXPECT_EQ(queue_->size(), 32768);
    for (int i = 0; i < 32768; ++i) {
        complete_one();
        ASSERT_TRUE(large.next_used());
    }
    EXPECT_FALSE(peek());
}

// A back end died behind the first of four chains; the front end says where the driver is.
TEST_F(SplitVirtqueueTest, InFlightChainsAreDoneAgainWhereTheyAreTracked) {
    std::vector<uint16_t> heads;
    for (int i = 0; i < 4; ++i) {
        heads.push_back(add({readable(64)}));
    }
    const auto first = peek();
    ASSERT_TRUE(first);
    queue_->complete(*first, 0);
    queue_->publish();
    Vring vring;
    vring.size = driver_.size();
    vring.base = 4;
    vring.addresses = driver_.addresses(0);
    queue_ = Virtqueue::make(vring, memory_, 0);
    EXPECT_FALSE(peek()) << "the front end's word";
    vring.inflight_is_tracked = true;
    queue_ = Virtqueue::make(vring, memory_, 0);
    EXPECT_EQ(queue_->base(), 1u);
    const auto second = peek();
    ASSERT_TRUE(second);
    EXPECT_EQ(second->id, heads[1]);
}

} // namespace
} // namespace tapline::vhost
