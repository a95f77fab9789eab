// Chains and rings by I/O virtual addresses, whose pages lie in the guest's memory in no order.
#include "tests/fakes/iommu.h"
#include "tests/unit/virtqueue_fixture.h"
#include "vhost/ring_view.h"

#include <cstring>

namespace tapline::vhost {
namespace {

using fakes::Buffer;
using fakes::Iommu;

constexpr uint64_t page = Iommu::page;
constexpr uint64_t features = bit(Feature::indirect_desc);

// An indirect chain whose table is anything.
void add_table(fakes::SplitDriverRing& ring, uint64_t address, uint32_t bytes) {
    ring.table()[0] = {.address = address,
                       .length = bytes,
                       .flags = fakes::SplitDriverRing::indirect_flag,
                       .next = 0};
    ring.add_head(0);
}

void add_table(fakes::PackedDriverRing& ring, uint64_t address, uint32_t bytes) {
    using Ring = fakes::PackedDriverRing;
    ring.add_raw(std::array{Ring::Descriptor{
        .address = address, .length = bytes, .id = 0, .flags = Ring::indirect_flag}});
}

// The driver's addresses are I/O virtual ones; page n of them is page n ^ 1 of the memory, but for
// the pages that the driver's ring is in.
template <typename Driver> class BehindIommu : public testing::Test {
protected:
    BehindIommu() {
        table_ = table_->with(Iommu::update(ram_, base_, 64 * page));
        const VringAddresses at = driver_.addresses(0);
        vring_ = {.size = 8,
                  .base = driver_.first_base(),
                  .addresses = VringAddresses{.index = 0,
                                              .flags = 0,
                                              .descriptors = ram_.guest_address(at.descriptors),
                                              .used = ram_.guest_address(at.used),
                                              .available = ram_.guest_address(at.available),
                                              .log = 0},
                  .kick = {},
                  .call = {},
                  .error = {}};
        queue_ = Virtqueue::make(vring_, memory_, all(), table_.get());
        learn(table_);
    }

    static constexpr uint64_t all() {
        return features |
               (std::is_same_v<Driver, fakes::PackedDriverRing> ? bit(Feature::ring_packed) : 0);
    }

    void learn(std::shared_ptr<const Iotlb> table) {
        queue_->translate_with(*table, port_);
        table_ = std::move(table);
    }

    // Two pages of buffers that lie the wrong way round.
    IotlbMessage swapped(uint64_t address, Access access = Access::both) {
        IotlbMessage update = Iommu::update(ram_, address ^ page, page, access);
        update.address = address;
        return update;
    }

    std::optional<ProtocolFault> fault_with(const Iotlb& table) {
        return fault_of([&] { (void)Virtqueue::make(vring_, memory_, all(), &table); });
    }

    bool peek() {
        queue_->rewind();
        parts_.clear();
        return queue_->peek(parts_, chain_);
    }

    std::vector<IotlbMiss> misses() {
        std::vector<IotlbMiss> all;
        while (const auto miss = port_.take_miss()) {
            all.push_back(*miss);
        }
        return all;
    }

    static constexpr uint64_t base_ = 0x10000;
    static constexpr uint64_t buffers_ = base_ + 128 * page; // Not told of yet.
    fakes::GuestRam ram_{256 * page, base_};
    Driver driver_{ram_, 8, false};
    std::shared_ptr<const GuestMemory> memory_ = map(ram_);
    std::shared_ptr<const Iotlb> table_ = Iotlb::make(memory_);
    Vring vring_;
    TranslationPort port_;
    std::unique_ptr<Virtqueue> queue_;
    IovecList parts_{2 * chain_parts_max};
    Chain chain_{};
};

using Drivers = testing::Types<fakes::SplitDriverRing, fakes::PackedDriverRing>;
TYPED_TEST_SUITE(BehindIommu, Drivers);

TYPED_TEST(BehindIommu, ReportsAllThatAChainLacksAndThenFindsIt) {
    const Buffer out{.address = this->buffers_ + 100, .length = page, .writable = false};
    const Buffer in{.address = this->buffers_ + 2 * page, .length = 10, .writable = true};
    this->driver_.add(std::array{out, in});
    EXPECT_FALSE(this->peek());
    EXPECT_TRUE(this->queue_->awaits_translation());
    EXPECT_EQ(this->queue_->fault(), RingFault::none);
    EXPECT_EQ(this->misses(), (std::vector{IotlbMiss{this->buffers_ + 100, Access::read},
                                           IotlbMiss{this->buffers_ + page, Access::read},
                                           IotlbMiss{this->buffers_ + 2 * page, Access::write}}));
    EXPECT_FALSE(this->peek());
    EXPECT_TRUE(this->misses().empty()) << "nothing was told meanwhile";
    EXPECT_FALSE(this->queue_->enable_kicks()) << "no chain can be taken: that would not end";

    this->learn(this->table_->with(this->swapped(this->buffers_))
                    ->with(this->swapped(this->buffers_ + page))
                    ->with(this->swapped(this->buffers_ + 2 * page, Access::write)));
    ASSERT_TRUE(this->peek());
    EXPECT_FALSE(this->queue_->awaits_translation());
    ASSERT_EQ(this->chain_.readable.size(), 2u);
    EXPECT_EQ(this->chain_.readable_bytes, page);
    EXPECT_EQ(this->chain_.readable[0].iov_base,
              this->memory_->at_guest_address(this->buffers_ + page + 100, 1));
    EXPECT_EQ(this->chain_.readable[1].iov_base,
              this->memory_->at_guest_address(this->buffers_, 1));
    EXPECT_EQ(this->chain_.writable_bytes, 10u);
    this->queue_->complete(this->chain_, 5);
    EXPECT_TRUE(this->queue_->publish());
    EXPECT_EQ(this->driver_.next_used()->length, 5u);
}

TYPED_TEST(BehindIommu, UsesNoMemoryInAWayThatWasNotAllowed) {
    this->learn(this->table_->with(this->swapped(this->buffers_, Access::read)));
    const Buffer out{.address = this->buffers_, .length = 10, .writable = false};
    const Buffer in{.address = this->buffers_ + 50, .length = 10, .writable = true};
    this->driver_.add(std::span(&out, 1));
    this->driver_.add(std::span(&in, 1));
    ASSERT_TRUE(this->peek());
    ASSERT_FALSE(this->queue_->peek(this->parts_, this->chain_));
    EXPECT_EQ(this->misses(), (std::vector{IotlbMiss{this->buffers_ + 50, Access::write}}));
}

TYPED_TEST(BehindIommu, ForgetsWhatBecomesInvalid) {
    this->learn(this->table_->with(this->swapped(this->buffers_)));
    const Buffer out{.address = this->buffers_, .length = 10, .writable = false};
    this->driver_.add(std::span(&out, 1));
    ASSERT_TRUE(this->peek());
    this->learn(this->table_->without(IovaRange::of(this->buffers_, 1)));
    EXPECT_FALSE(this->peek());
    EXPECT_TRUE(this->queue_->awaits_translation());
}

TYPED_TEST(BehindIommu, ReportsNoEndlessChainOfMisses) {
    const Buffer huge{.address = this->buffers_, .length = ~uint32_t{0}, .writable = false};
    this->driver_.add(std::span(&huge, 1));
    EXPECT_FALSE(this->peek());
    EXPECT_LE(this->misses().size(), 256u);
}

TYPED_TEST(BehindIommu, ReadsAnIndirectTableInPieces) {
    const uint64_t split = this->base_ + 100 * page; // In the middle of the table.
    const uint64_t elsewhere = this->base_ + 110 * page;
    const uint64_t before = this->ram_.allocate(16);
    this->ram_.allocate(split - 160 - (before + 16));
    this->learn(this->table_->with(Iommu::update(this->ram_, this->buffers_, page)));
    std::vector<Buffer> chain;
    for (uint64_t i = 0; i < 20; ++i) {
        chain.push_back({.address = this->buffers_ + 16 * i, .length = 8, .writable = false});
    }
    this->driver_.add(chain, fakes::DriverRing::Layout::indirect);
    std::memcpy(this->ram_.at(elsewhere), this->ram_.at(split), page);
    std::memset(this->ram_.at(split), 0xff, page);

    EXPECT_FALSE(this->peek());
    EXPECT_EQ(this->misses(),
              (std::vector{IotlbMiss{split - 160, Access::read}, IotlbMiss{split, Access::read}}));
    this->learn(this->table_->with(Iommu::update(this->ram_, split - page, page)));
    EXPECT_FALSE(this->peek());
    EXPECT_EQ(this->misses(), (std::vector{IotlbMiss{split, Access::read}}));
    IotlbMessage second = Iommu::update(this->ram_, elsewhere, page);
    second.address = split;
    this->learn(this->table_->with(second));
    ASSERT_TRUE(this->peek());
    ASSERT_EQ(this->chain_.readable.size(), 20u);
    EXPECT_EQ(this->chain_.readable[19].iov_base,
              this->memory_->at_guest_address(this->buffers_ + 16 * 19, 8));
}

TYPED_TEST(BehindIommu, RefusesAnIndirectTableInPiecesThatIsLongerThanAnyChain) {
    constexpr uint64_t bytes = 16 * (chain_parts_max + 1);
    for (uint64_t at = 0; at < bytes; at += page) { // The wrong way round: in pieces.
        this->learn(this->table_->with(this->swapped(this->buffers_ + at)));
    }
    add_table(this->driver_, this->buffers_, bytes);
    EXPECT_FALSE(this->peek());
    EXPECT_EQ(this->queue_->fault(), RingFault::chain_too_long);
}

// Both are mapped once more, so their places here tell nothing.
TYPED_TEST(BehindIommu, RefusesPartsThatShareAPageWhichIsMappedTwice) {
    this->vring_.size = 512;
    auto table = Iotlb::make(this->memory_);
    for (uint64_t at = 0; at < 8 * page; at += page) {
        table = table->with(this->swapped(this->buffers_ + at));
        IotlbMessage again = this->swapped(this->buffers_ + at);
        again.address += 64 * page;
        table = table->with(again);
    }
    this->vring_.addresses->descriptors = this->buffers_;
    this->vring_.addresses->available = this->buffers_ + 4 * page;
    this->vring_.addresses->used = this->buffers_ + 6 * page;
    EXPECT_EQ(this->fault_with(*table), accepted);
    this->vring_.addresses->used = this->buffers_ + 64 * page;
    EXPECT_EQ(this->fault_with(*table), ProtocolFault::ring_address);
}

TYPED_TEST(BehindIommu, RunsARingThatLiesInPieces) {
    auto table = Iotlb::make(this->memory_);
    table = table->with(Iommu::update(this->ram_, this->base_, 64 * page));
    TypeParam large(this->ram_, 512, false);
    const VringAddresses at = large.addresses(0);
    this->vring_.size = 512;
    this->vring_.base = large.first_base();
    this->vring_.addresses->descriptors = this->ram_.guest_address(at.descriptors);
    this->vring_.addresses->available = this->ram_.guest_address(at.available);
    this->vring_.addresses->used = this->ram_.guest_address(at.used);
    // The second page of the descriptors lies elsewhere, where the first half of a lap ends.
    const uint64_t moved = this->vring_.addresses->descriptors / page * page + page;
    const uint64_t elsewhere = this->base_ + 110 * page;
    IotlbMessage update = Iommu::update(this->ram_, elsewhere, page);
    update.address = moved;
    std::memcpy(this->ram_.at(elsewhere), this->ram_.at(moved), page);
    table = table->with(update);
    const auto queue = Virtqueue::make(this->vring_, this->memory_, this->all(), table.get());
    IovecList parts(2 * chain_parts_max);
    Chain chain{};
    EXPECT_FALSE(queue->peek(parts, chain));
    const Buffer buffer{.address = this->base_, .length = 8, .writable = false};
    ASSERT_TRUE(large.add(std::span(&buffer, 1)));
    std::memcpy(this->ram_.at(elsewhere), this->ram_.at(moved), page); // If it was written there.
    ASSERT_TRUE(queue->peek(parts, chain));
    EXPECT_EQ(chain.readable_bytes, 8u);
}

TEST(RingView, ShowsPagesSideBySide) {
    fakes::GuestRam ram(16 * page);
    const uint64_t base = ram.allocate(1);
    auto table = Iotlb::make(map(ram));
    for (const uint64_t number : {0, 1, 2, 3}) {
        IotlbMessage update = Iommu::update(ram, base + (7 - number) * page, page);
        update.address = number * page;
        table = table->with(update);
        std::memset(ram.at(base + (7 - number) * page), static_cast<int>(number), page);
    }
    const auto view = RingView::map(*table, 100, 3 * page, Access::both);
    for (const uint64_t at : {uint64_t{0}, page - 101, page - 100, 3 * page - 1}) {
        EXPECT_EQ(view->bytes()[at], std::byte((at + 100) / page)) << at;
    }
    view->bytes()[page - 100] = std::byte{42};
    EXPECT_EQ(*ram.at(base + 6 * page), std::byte{42}) << "it is a copy";
    EXPECT_EQ(fault_of([&] { (void)RingView::map(*table, 100, 4 * page, Access::both); }),
              ProtocolFault::ring_address);
}

} // namespace
} // namespace tapline::vhost
