#include "tests/unit/virtqueue_fixture.h"

#include <cstring>
#include <string>

namespace tapline::vhost {
namespace {

using fakes::Buffer;
using fakes::SplitDriverRing;
using Layout = SplitDriverRing::Layout;

constexpr uint16_t next_flag = SplitDriverRing::next_flag;
constexpr uint16_t write_flag = SplitDriverRing::write_flag;
constexpr uint16_t indirect_flag = SplitDriverRing::indirect_flag;

class VirtqueueFaults : public VirtqueueFixture {
protected:
    explicit VirtqueueFaults(uint64_t features = bit(Feature::indirect_desc))
        : VirtqueueFixture({.features = features}), at_(ram_.allocate(4096)) {}

    // A descriptor of good memory.
    SplitDriverRing::Descriptor descriptor(uint16_t flags, uint16_t next = 0) const {
        return {.address = at_, .length = 64, .flags = flags, .next = next};
    }

    // A descriptor that leads to this table somewhere in guest memory.
    SplitDriverRing::Descriptor table(std::span<const SplitDriverRing::Descriptor> entries) {
        const uint64_t at = ram_.allocate(entries.size_bytes());
        std::memcpy(ram_.at(at), entries.data(), entries.size_bytes());
        return {.address = at,
                .length = static_cast<uint32_t>(entries.size_bytes()),
                .flags = indirect_flag,
                .next = 0};
    }

    // Makes descriptor 0 the head of a chain and looks at it.
    RingFault fault_from(const SplitDriverRing::Descriptor& head) {
        driver_.table()[0] = head;
        driver_.add_head(0);
        EXPECT_FALSE(peek());
        return queue_->fault();
    }

    const uint64_t at_;
};

TEST_F(VirtqueueFaults, AvailableIndexThatMovesFurtherThanTheRingIsLong) {
    driver_.set_available_index(9);
    EXPECT_EQ(waiting(), 0);
    EXPECT_EQ(queue_->fault(), RingFault::available_index);
}

TEST_F(VirtqueueFaults, AvailableIndexThatMovesBack) {
    add({readable(10)});
    complete_one();
    driver_.set_available_index(0);
    EXPECT_EQ(waiting(), 0);
    EXPECT_EQ(queue_->fault(), RingFault::available_index);
}

TEST_F(VirtqueueFaults, HeadOutOfRange) {
    driver_.add_head(8);
    EXPECT_FALSE(peek());
    EXPECT_EQ(queue_->fault(), RingFault::head_out_of_range);
}

TEST_F(VirtqueueFaults, NextOutOfRange) {
    EXPECT_EQ(fault_from(descriptor(next_flag, 8)), RingFault::next_out_of_range);
}

TEST_F(VirtqueueFaults, NextOutOfRangeOfAnIndirectTable) {
    const std::array entries = {descriptor(next_flag, 2), descriptor(0)};
    EXPECT_EQ(fault_from(table(entries)), RingFault::next_out_of_range);
}

TEST_F(VirtqueueFaults, LoopOfOne) {
    EXPECT_EQ(fault_from(descriptor(next_flag, 0)), RingFault::chain_too_long);
}

TEST_F(VirtqueueFaults, LoopOfTwo) {
    driver_.table()[5] = descriptor(next_flag, 0);
    EXPECT_EQ(fault_from(descriptor(next_flag, 5)), RingFault::chain_too_long);
}

TEST_F(VirtqueueFaults, LoopOfEmptyDescriptors) {
    SplitDriverRing::Descriptor empty = descriptor(next_flag, 0);
    empty.length = 0;
    EXPECT_EQ(fault_from(empty), RingFault::chain_too_long);
}

TEST_F(VirtqueueFaults, LoopInAnIndirectTable) {
    const std::array entries = {descriptor(next_flag, 1), descriptor(next_flag, 0)};
    EXPECT_EQ(fault_from(table(entries)), RingFault::chain_too_long);
}

TEST_F(VirtqueueFaults, DescriptorOutsideMemory) {
    SplitDriverRing::Descriptor outside = descriptor(0);
    outside.address = 0;
    EXPECT_EQ(fault_from(outside), RingFault::descriptor_outside_memory);
}

TEST_F(VirtqueueFaults, DescriptorThatEndsOutsideMemory) {
    SplitDriverRing::Descriptor outside = descriptor(0);
    outside.length = UINT32_MAX;
    EXPECT_EQ(fault_from(outside), RingFault::descriptor_outside_memory);
}

TEST_F(VirtqueueFaults, DescriptorThatWrapsAround) {
    SplitDriverRing::Descriptor outside = descriptor(0);
    outside.address = ~uint64_t{0} - 8;
    EXPECT_EQ(fault_from(outside), RingFault::descriptor_outside_memory);
}

TEST_F(VirtqueueFaults, SecondDescriptorOutsideMemory) {
    driver_.table()[3] = {.address = 0, .length = 1, .flags = 0, .next = 0};
    EXPECT_EQ(fault_from(descriptor(next_flag, 3)), RingFault::descriptor_outside_memory);
}

TEST_F(VirtqueueFaults, ReadableBehindWritable) {
    driver_.table()[1] = descriptor(0);
    EXPECT_EQ(fault_from(descriptor(next_flag | write_flag, 1)),
              RingFault::readable_after_writable);
}

TEST_F(VirtqueueFaults, IndirectTableWithinAnIndirectTable) {
    const std::array inner = {descriptor(0)};
    const std::array outer = {table(inner)};
    EXPECT_EQ(fault_from(table(outer)), RingFault::indirect_table);
}

TEST_F(VirtqueueFaults, IndirectTableThatIsTheRingsOwn) {
    const uint64_t base = ram_.region().guest_address; // The driver's table is its first thing.
    ASSERT_EQ(static_cast<void*>(ram_.at(base)), static_cast<void*>(driver_.table().data()));
    EXPECT_EQ(fault_from({.address = base, .length = 128, .flags = indirect_flag, .next = 0}),
              RingFault::indirect_table);
}

TEST_F(VirtqueueFaults, IndirectTableThatIsEmpty) {
    EXPECT_EQ(fault_from({.address = at_, .length = 0, .flags = indirect_flag, .next = 0}),
              RingFault::indirect_table);
}

TEST_F(VirtqueueFaults, IndirectTableThatEndsWithinADescriptor) {
    EXPECT_EQ(fault_from({.address = at_, .length = 24, .flags = indirect_flag, .next = 0}),
              RingFault::indirect_table);
}

TEST_F(VirtqueueFaults, IndirectTableOutsideMemory) {
    EXPECT_EQ(fault_from({.address = 0, .length = 16, .flags = indirect_flag, .next = 0}),
              RingFault::indirect_table);
}

TEST_F(VirtqueueFaults, IndirectTableWithAnythingBehindIt) {
    const std::array entries = {descriptor(0)};
    SplitDriverRing::Descriptor head = table(entries);
    head.flags |= next_flag;
    head.next = 1;
    EXPECT_EQ(fault_from(head), RingFault::indirect_table);
}

TEST_F(VirtqueueFaults, BrokenQueueStaysBrokenAndTakesNoMore) {
    driver_.add_head(8);
    EXPECT_FALSE(peek());
    driver_.add_head(0);
    EXPECT_EQ(waiting(), 0);
    driver_.set_available_index(100); // Another fault does not hide the first.
    EXPECT_EQ(waiting(), 0);
    EXPECT_EQ(queue_->fault(), RingFault::head_out_of_range);
}

// Else whoever runs the queue would look again and again instead of sleeping.
TEST_F(VirtqueueFaults, BrokenQueueTellsOfNoNewChains) {
    driver_.add_head(8);
    EXPECT_FALSE(peek());
    driver_.add_head(0);
    EXPECT_FALSE(queue_->enable_kicks());
}

TEST_F(VirtqueueFaults, ChainsInFrontOfABrokenOneStillGoBack) {
    const uint16_t good = add({readable(10)});
    driver_.add_head(8);
    Chain first{};
    Chain second{};
    ASSERT_TRUE(queue_->peek(parts_, first));
    EXPECT_FALSE(queue_->peek(parts_, second));
    EXPECT_EQ(first.readable_bytes, 10u);
    queue_->complete(first, 0);
    queue_->publish();
    EXPECT_EQ(driver_.next_used()->id, good);
}

class WithoutIndirectTables : public VirtqueueFaults {
protected:
    WithoutIndirectTables() : VirtqueueFaults(0) {}
};

TEST_F(WithoutIndirectTables, OneBreaksTheQueue) {
    const std::array entries = {descriptor(0)};
    EXPECT_EQ(fault_from(table(entries)), RingFault::indirect_table);
}

class LongChains : public VirtqueueFixture {
protected:
    LongChains() : VirtqueueFixture({.size = 2048, .features = bit(Feature::indirect_desc)}) {}

    // So many bytes, no two of them neighbours.
    std::vector<Buffer> scattered(size_t count, bool writable) {
        const uint64_t at = ram_.allocate(2 * count);
        std::vector<Buffer> buffers;
        for (size_t i = 0; i < count; ++i) {
            buffers.push_back({.address = at + 2 * i, .length = 1, .writable = writable});
        }
        return buffers;
    }
};

TEST_F(LongChains, AsManyPartsAsOneSystemCallTakesAreTaken) {
    add(scattered(chain_parts_max, true));
    const auto chain = peek();
    ASSERT_TRUE(chain);
    EXPECT_EQ(chain->writable.size(), chain_parts_max);
}

TEST_F(LongChains, OnePartMoreBreaksTheQueue) {
    add(scattered(chain_parts_max + 1, true));
    EXPECT_FALSE(peek());
    EXPECT_EQ(queue_->fault(), RingFault::chain_too_long);
}

TEST_F(LongChains, PartsOfBothKindsCountTogether) {
    std::vector<Buffer> chain = scattered(chain_parts_max / 2, false);
    const std::vector<Buffer> rest = scattered(chain_parts_max / 2 + 1, true);
    chain.insert(chain.end(), rest.begin(), rest.end());
    add(chain);
    EXPECT_FALSE(peek());
    EXPECT_EQ(queue_->fault(), RingFault::chain_too_long);
}

TEST_F(LongChains, ListWithJustEnoughRoomIsNotOverrun) {
    IovecList list(chain_parts_max);
    add(scattered(chain_parts_max + 1, false));
    Chain chain{};
    EXPECT_FALSE(queue_->peek(list, chain));
    EXPECT_EQ(queue_->fault(), RingFault::chain_too_long);
}

TEST_F(LongChains, DescriptorsThatMergeCountAsOnePart) {
    const uint64_t at = ram_.allocate(2000);
    std::vector<Buffer> buffers;
    for (uint64_t i = 0; i < 2000; ++i) {
        buffers.push_back({.address = at + i, .length = 1, .writable = false});
    }
    add(buffers);
    const auto chain = peek();
    ASSERT_TRUE(chain);
    EXPECT_EQ(chain->readable.size(), 1u);
    EXPECT_EQ(chain->readable_bytes, 2000u);
}

TEST(RingFault, EachHasAName) {
    std::vector<std::string> names;
    for (size_t i = 0; i < ring_fault_count; ++i) {
        names.emplace_back(to_text(static_cast<RingFault>(i)));
    }
    EXPECT_EQ(names, (std::vector<std::string>{"none", "available_index", "head_out_of_range",
                                               "next_out_of_range", "chain_too_long",
                                               "descriptor_outside_memory", "indirect_table",
                                               "readable_after_writable"}));
}

TEST(RingMemory, TakenAwayWhileInUseReadsAsAnEmptyRing) {
    fakes::GuestRam ram(1 << 20);
    SplitDriverRing driver(ram, 8, false);
    const Vring vring{.size = 8,
                      .base = 0,
                      .addresses = driver.addresses(0),
                      .kick = {},
                      .call = {},
                      .error = {}};
    const auto queue = Virtqueue::make(vring, map(ram), 0);
    driver.add_head(0);
    ASSERT_EQ(ftruncate(ram.fd(), 0), 0);
    IovecList parts(chain_parts_max);
    Chain chain{};
    EXPECT_FALSE(queue->peek(parts, chain));
}

} // namespace
} // namespace tapline::vhost
