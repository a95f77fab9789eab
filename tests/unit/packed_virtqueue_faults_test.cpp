#include "tests/unit/virtqueue_fixture.h"

#include <cstring>

namespace tapline::vhost {
namespace {

using fakes::PackedDriverRing;
using Descriptor = PackedDriverRing::Descriptor;

constexpr uint16_t next_flag = PackedDriverRing::next_flag;
constexpr uint16_t write_flag = PackedDriverRing::write_flag;
constexpr uint16_t indirect_flag = PackedDriverRing::indirect_flag;
constexpr uint16_t ring_size = 8;

class PackedFaults : public PackedVirtqueueFixture {
protected:
    explicit PackedFaults(uint64_t features = bit(Feature::indirect_desc))
        : PackedVirtqueueFixture(
              {.size = ring_size, .features = features | bit(Feature::ring_packed)}) {}

    Descriptor descriptor(uint16_t flags = 0) {
        return {.address = ram_.allocate(64), .length = 64, .id = 3, .flags = flags};
    }

    Descriptor table(const std::vector<Descriptor>& entries) {
        const size_t bytes = entries.size() * sizeof(Descriptor);
        const uint64_t at = ram_.allocate(bytes);
        std::memcpy(ram_.at(at), entries.data(), bytes);
        return {
            .address = at, .length = static_cast<uint32_t>(bytes), .id = 3, .flags = indirect_flag};
    }

    RingFault fault_from(const std::vector<Descriptor>& chain) {
        driver_.add_raw(chain);
        EXPECT_FALSE(peek());
        EXPECT_EQ(parts_.size(), 0u);
        EXPECT_FALSE(queue_->enable_kicks()) << "a broken queue asks for nothing";
        EXPECT_FALSE(peek()) << "a broken queue stays broken";
        return queue_->fault();
    }
};

TEST_F(PackedFaults, ChainWithoutAnEnd) {
    EXPECT_EQ(fault_from(std::vector(ring_size, descriptor(next_flag))), RingFault::chain_too_long);
}

TEST_F(PackedFaults, ChainIntoThoseLookedAtAlready) {
    driver_.add_raw(std::vector{descriptor()});
    const std::vector endless(ring_size - 1, descriptor(next_flag));
    driver_.add_raw(endless);
    Chain chain{};
    ASSERT_TRUE(queue_->peek(parts_, chain));
    EXPECT_FALSE(queue_->peek(parts_, chain));
    EXPECT_EQ(queue_->fault(), RingFault::chain_too_long);
}

TEST_F(PackedFaults, BufferOutsideMemory) {
    Descriptor outside = descriptor();
    outside.address = ~0ull - 10;
    EXPECT_EQ(fault_from({outside}), RingFault::descriptor_outside_memory);
}

TEST_F(PackedFaults, ReadableAfterWritable) {
    EXPECT_EQ(fault_from({descriptor(write_flag | next_flag), descriptor()}),
              RingFault::readable_after_writable);
}

TEST_F(PackedFaults, IndirectTableThatGoesOn) {
    Descriptor indirect = table({descriptor()});
    indirect.flags |= next_flag;
    EXPECT_EQ(fault_from({indirect, descriptor()}), RingFault::indirect_table);
}

TEST_F(PackedFaults, IndirectTableWithinAnother) {
    EXPECT_EQ(fault_from({table({table({descriptor()})})}), RingFault::indirect_table);
}

TEST_F(PackedFaults, EmptyIndirectTable) {
    Descriptor empty = table({descriptor()});
    empty.length = 0;
    EXPECT_EQ(fault_from({empty}), RingFault::indirect_table);
}

TEST_F(PackedFaults, RaggedIndirectTable) {
    Descriptor ragged = table({descriptor()});
    ragged.length = 15;
    EXPECT_EQ(fault_from({ragged}), RingFault::indirect_table);
}

TEST_F(PackedFaults, IndirectTableOutsideMemory) {
    Descriptor outside = table({descriptor()});
    outside.address = 1;
    EXPECT_EQ(fault_from({outside}), RingFault::indirect_table);
}

TEST_F(PackedFaults, IndirectTableOfTooManyEntries) {
    Descriptor long_table = table({descriptor()});
    long_table.address = ram_.region().guest_address;
    long_table.length = 2 << 20;
    EXPECT_EQ(fault_from({long_table}), RingFault::chain_too_long);
}

class PackedWithoutIndirect : public PackedFaults {
protected:
    PackedWithoutIndirect() : PackedFaults(0) {}
};

TEST_F(PackedWithoutIndirect, TableIsRefused) {
    EXPECT_EQ(fault_from({table({descriptor()})}), RingFault::indirect_table);
}

TEST_F(PackedFaults, ChainsBeforeTheBadOneAreGood) {
    driver_.add_raw(std::vector{descriptor()});
    Descriptor outside = descriptor();
    outside.address = 0;
    driver_.add_raw(std::vector{outside});
    Chain chain{};
    ASSERT_TRUE(queue_->peek(parts_, chain));
    Chain bad{};
    EXPECT_FALSE(queue_->peek(parts_, bad));
    queue_->complete(chain, 0);
    EXPECT_TRUE(queue_->publish());
}

class PackedPlaces : public PackedFaults {
protected:
    std::optional<ProtocolFault> fault_of_ring(const VringAddresses& addresses,
                                               uint32_t base = 0x80008000) {
        Vring vring;
        vring.size = ring_size;
        vring.base = base;
        vring.addresses = addresses;
        return fault_of([&] { Virtqueue::make(vring, memory_, bit(Feature::ring_packed)); });
    }

    VringAddresses addresses_ = driver_.addresses(0);
};

TEST_F(PackedPlaces, BaseBehindTheRingIsRefused) {
    EXPECT_EQ(fault_of_ring(addresses_, ring_size), ProtocolFault::ring_index);
}

TEST_F(PackedPlaces, PartsOutsideMemoryAreRefused) {
    for (uint64_t VringAddresses::*part :
         {&VringAddresses::descriptors, &VringAddresses::available, &VringAddresses::used}) {
        VringAddresses moved = addresses_;
        moved.*part = 16;
        EXPECT_EQ(fault_of_ring(moved), ProtocolFault::ring_address);
    }
}

TEST_F(PackedPlaces, UnalignedPartsAreRefused) {
    for (uint64_t VringAddresses::*part :
         {&VringAddresses::descriptors, &VringAddresses::available, &VringAddresses::used}) {
        VringAddresses moved = addresses_;
        moved.*part += 2;
        EXPECT_EQ(fault_of_ring(moved), ProtocolFault::ring_address);
    }
}

TEST_F(PackedPlaces, PartsThatOverlapAreRefused) {
    VringAddresses moved = addresses_;
    moved.used = moved.descriptors + 16;
    EXPECT_EQ(fault_of_ring(moved), ProtocolFault::ring_address);
}

} // namespace
} // namespace tapline::vhost
