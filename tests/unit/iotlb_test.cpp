#include "tests/fakes/iommu.h"
#include "tests/unit/virtqueue_fixture.h"
#include "vhost/iotlb.h"

namespace tapline::vhost {
namespace {

using fakes::Iommu;

constexpr uint64_t page = Iommu::page;

class IotlbTest : public testing::Test {
protected:
    // What is at this page of the guest's memory now has this I/O virtual address.
    IotlbMessage mapping(uint64_t address, uint64_t guest_page, uint64_t pages = 1,
                         Access access = Access::both) {
        IotlbMessage update = Iommu::update(ram_, base_ + guest_page * page, pages * page, access);
        update.address = address;
        return update;
    }

    std::byte* host(uint64_t guest_page) {
        return memory_->at_guest_address(base_ + guest_page * page, page);
    }

    static constexpr uint64_t base_ = 0x10000;
    fakes::GuestRam ram_{64 * page, base_};
    std::shared_ptr<const GuestMemory> memory_ = map(ram_);
    std::shared_ptr<const Iotlb> empty_ = Iotlb::make(memory_);
};

TEST_F(IotlbTest, FindsWhatAnUpdateTold) {
    const auto table = empty_->with(mapping(0x7000, 3));
    EXPECT_EQ(table->at(0x7000, page, Access::read), host(3));
    EXPECT_EQ(table->at(0x7fff, 1, Access::write), host(3) + page - 1);
    for (const uint64_t address : {0x6fffull, 0x8000ull, 0ull, ~0ull}) {
        EXPECT_EQ(table->find(address, Access::read).size, 0u) << std::hex << address;
    }
    EXPECT_EQ(empty_->find(0x7000, Access::read).size, 0u) << "the old table changed";
    EXPECT_NE(table->generation(), empty_->generation());
}

TEST_F(IotlbTest, AllowsWhatTheUpdateAllowed) {
    const auto table = empty_->with(mapping(0, 0, 1, Access::read))
                           ->with(mapping(page, 1, 1, Access::write))
                           ->with(mapping(2 * page, 2, 1, Access::both));
    EXPECT_EQ(table->size(), 3u);
    EXPECT_GT(table->find(0, Access::read).size, 0u);
    EXPECT_EQ(table->find(0, Access::write).size, 0u);
    EXPECT_EQ(table->find(0, Access::both).size, 0u);
    EXPECT_EQ(table->find(page, Access::read).size, 0u);
    EXPECT_GT(table->find(page, Access::write).size, 0u);
    EXPECT_GT(table->find(2 * page, Access::both).size, 0u);
}

TEST_F(IotlbTest, MakesOneOfNeighbours) {
    auto table = empty_->with(mapping(0, 10))->with(mapping(2 * page, 12));
    EXPECT_EQ(table->size(), 2u);
    table = table->with(mapping(page, 11));
    EXPECT_EQ(table->size(), 1u);
    EXPECT_EQ(table->at(0, 3 * page, Access::both), host(10));
    table = table->with(mapping(3 * page, 20)); // Not behind it in the guest's memory.
    EXPECT_EQ(table->size(), 2u);
    EXPECT_EQ(table->at(3 * page, page, Access::both), host(20));
}

TEST_F(IotlbTest, ReplacesWhatWasToldBefore) {
    const auto table = empty_->with(mapping(0, 10, 3))->with(mapping(page, 30));
    EXPECT_EQ(table->at(0, page, Access::both), host(10));
    EXPECT_EQ(table->at(page, page, Access::both), host(30));
    EXPECT_EQ(table->at(2 * page, page, Access::both), host(12));
    const auto same = table->with(mapping(page, 30));
    EXPECT_EQ(same->size(), table->size());
}

TEST_F(IotlbTest, ForgetsARangeAndKeepsTheRest) {
    const auto whole = empty_->with(mapping(0, 10, 8));
    const auto holed = whole->without(IovaRange::of(2 * page + 5, page));
    EXPECT_EQ(holed->at(2 * page + 4, 1, Access::both), host(12) + 4);
    EXPECT_EQ(holed->find(2 * page + 5, Access::both).size, 0u);
    EXPECT_EQ(holed->find(3 * page + 4, Access::both).size, 0u);
    EXPECT_EQ(holed->at(3 * page + 5, 1, Access::both), host(13) + 5);
    EXPECT_EQ(whole->without(IovaRange::of(100 * page, page))->size(), 1u);
    EXPECT_EQ(whole->without(IovaRange::of(0, ~uint64_t{0}))->size(), 0u);
    EXPECT_EQ(whole->without(IovaRange::of(0, 0))->size(), 0u) << "0 from 0 on is all, as in Linux";
}

TEST_F(IotlbTest, RefusesWhatMakesNoSense) {
    const auto fault_with = [&](auto change) {
        IotlbMessage update = mapping(0x7000, 3);
        change(update);
        return fault_of([&] { (void)empty_->with(update); });
    };
    using M = IotlbMessage;
    EXPECT_EQ(fault_with([](M&) {}), accepted);
    EXPECT_EQ(fault_with([](M& update) { update.size = 0; }), ProtocolFault::bad_value);
    EXPECT_EQ(fault_with([](M& update) { update.access = Access{}; }), ProtocolFault::bad_value);
    EXPECT_EQ(fault_with([](M& update) { update.access = Access{4}; }), ProtocolFault::bad_value);
    EXPECT_EQ(fault_with([](M& update) { update.address = ~uint64_t{0} - 5; }),
              ProtocolFault::bad_value);
    EXPECT_EQ(fault_with([](M& update) { update.size = ~uint64_t{0}; }), ProtocolFault::bad_value);
    EXPECT_EQ(fault_with([](M& update) { update.size = uint64_t{1} << 40; }),
              ProtocolFault::memory_region);
    EXPECT_EQ(fault_with([](M& update) { update.user_address = 16; }),
              ProtocolFault::memory_region);
    EXPECT_EQ(fault_of([&] { (void)Iotlb::make(nullptr)->with(mapping(0, 0)); }),
              ProtocolFault::memory_region);
    EXPECT_EQ(fault_of([] { (void)IovaRange::of(page, 0); }), ProtocolFault::bad_value);
    EXPECT_EQ(fault_of([] { (void)IovaRange::of(~uint64_t{0}, 2); }), ProtocolFault::bad_value);
}

TEST_F(IotlbTest, IsBounded) {
    auto table = empty_;
    for (uint64_t i = 0; i < Iotlb::mappings_max + 10; ++i) {
        table = table->with(mapping(2 * i * page, i % 64));
        ASSERT_LE(table->size(), Iotlb::mappings_max);
        ASSERT_GT(table->find(2 * i * page, Access::both).size, 0u);
    }
}

} // namespace
} // namespace tapline::vhost
