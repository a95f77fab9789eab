#include "vhost/guest_memory.h"

#include "tests/fakes/guest_ram.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <span>
#include <vector>

namespace tapline::vhost {
namespace {

constexpr uint64_t region_bytes = 0x10000;
constexpr uint64_t low_begin = 0x100000;
constexpr uint64_t high_begin = low_begin + region_bytes;
constexpr uint64_t high_end = high_begin + region_bytes;

UniqueFd copy_of(int fd) {
    return UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

// Two files whose regions are neighbours to the guest.
class GuestMemoryTest : public testing::Test {
protected:
    std::shared_ptr<const GuestMemory> map() {
        const std::array regions = {high_.region(), low_.region()};
        std::array fds = {copy_of(high_.fd()), copy_of(low_.fd())};
        return GuestMemory::map(regions, fds);
    }

    bool append(uint64_t address, uint32_t length) {
        list_.clear();
        list_.begin_run();
        return memory_->append(address, length, list_, last_);
    }

    size_t appended_bytes() {
        size_t bytes = 0;
        for (const iovec& part : list_.from(0)) {
            bytes += part.iov_len;
        }
        return bytes;
    }

    fakes::GuestRam low_{region_bytes, low_begin};
    fakes::GuestRam high_{region_bytes, high_begin};
    std::shared_ptr<const GuestMemory> memory_ = map();
    IovecList list_{16};
    GuestMemory::Window last_;
};

TEST_F(GuestMemoryTest, GuestAddressLeadsToTheSharedByte) {
    *low_.at(low_begin) = std::byte{1};
    *low_.at(high_begin - 1) = std::byte{2};
    *high_.at(high_begin) = std::byte{3};
    *high_.at(high_end - 1) = std::byte{4};
    EXPECT_EQ(*memory_->at_guest_address(low_begin, 1), std::byte{1});
    EXPECT_EQ(*memory_->at_guest_address(high_begin - 1, 1), std::byte{2});
    EXPECT_EQ(*memory_->at_guest_address(high_begin, 1), std::byte{3});
    EXPECT_EQ(*memory_->at_guest_address(high_end - 1, 1), std::byte{4});
}

TEST_F(GuestMemoryTest, UserAddressLeadsToTheSameByte) {
    std::byte* byte = memory_->at_user_address(low_.user_address(low_begin + 5), 1);
    EXPECT_EQ(byte, memory_->at_guest_address(low_begin + 5, 1));
}

TEST_F(GuestMemoryTest, WhatIsWrittenReachesTheGuest) {
    *memory_->at_guest_address(high_begin + 7, 1) = std::byte{42};
    EXPECT_EQ(*high_.at(high_begin + 7), std::byte{42});
}

TEST_F(GuestMemoryTest, WholeRegionIsOnePieceAndNoByteMore) {
    EXPECT_NE(memory_->at_guest_address(low_begin, region_bytes), nullptr);
    EXPECT_EQ(memory_->at_guest_address(low_begin, region_bytes + 1), nullptr);
    EXPECT_EQ(memory_->at_guest_address(low_begin + 1, region_bytes), nullptr);
    EXPECT_EQ(memory_->at_user_address(low_.region().user_address, region_bytes + 1), nullptr);
}

TEST_F(GuestMemoryTest, AddressesOutsideLeadNowhere) {
    for (const uint64_t address : {uint64_t{0}, low_begin - 1, high_end, ~uint64_t{0}}) {
        EXPECT_EQ(memory_->at_guest_address(address, 1), nullptr) << std::hex << address;
        EXPECT_FALSE(append(address, 1)) << std::hex << address;
    }
}

TEST_F(GuestMemoryTest, LengthThatOverflowsLeadsNowhere) {
    EXPECT_EQ(memory_->at_guest_address(low_begin + 1, ~uint64_t{0}), nullptr);
    EXPECT_EQ(memory_->at_user_address(low_.region().user_address + 1, ~uint64_t{0}), nullptr);
    EXPECT_FALSE(append(low_begin, UINT32_MAX));
    EXPECT_FALSE(append(~uint64_t{0} - 10, UINT32_MAX));
}

TEST_F(GuestMemoryTest, RangeAcrossNeighboursIsWholeAndInOrder) {
    *low_.at(high_begin - 1) = std::byte{1};
    *high_.at(high_begin) = std::byte{2};
    ASSERT_TRUE(append(high_begin - 1, 2));
    EXPECT_EQ(appended_bytes(), 2u);
    std::vector<std::byte> read;
    for (const iovec& part : list_.from(0)) {
        const auto* bytes = static_cast<const std::byte*>(part.iov_base);
        read.insert(read.end(), bytes, bytes + part.iov_len);
    }
    EXPECT_EQ(read, (std::vector{std::byte{1}, std::byte{2}}));
}

TEST_F(GuestMemoryTest, RegionOfTheLastBufferIsKnownToItsBounds) {
    EXPECT_FALSE(last_.holds(low_begin, 1));
    ASSERT_TRUE(append(high_begin - 1, 2));
    EXPECT_TRUE(last_.holds(high_begin, region_bytes));
    EXPECT_EQ(last_.at(high_begin), memory_->at_guest_address(high_begin, 1));
    EXPECT_FALSE(last_.holds(high_begin, region_bytes + 1));
    EXPECT_FALSE(last_.holds(high_begin + 1, ~uint64_t{0}));
    EXPECT_FALSE(last_.holds(high_begin, 0));
    EXPECT_FALSE(last_.holds(high_begin - 1, 1));
    EXPECT_FALSE(last_.holds(high_end, 1));
}

TEST_F(GuestMemoryTest, RangeMayEndWhereMemoryEnds) {
    EXPECT_TRUE(append(low_begin, 2 * region_bytes));
    EXPECT_EQ(appended_bytes(), 2 * region_bytes);
    EXPECT_FALSE(append(low_begin, 2 * region_bytes + 1));
    EXPECT_FALSE(append(high_end - 1, 2));
    EXPECT_FALSE(append(low_begin - 1, 2));
}

TEST_F(GuestMemoryTest, ManyRegionsLeadToTheirOwnBytes) {
    constexpr uint64_t pages = 200;
    const fakes::GuestRam ram(pages * 4096, 0);
    auto memory = GuestMemory::map({}, {});
    for (uint64_t i = 0; i < pages; ++i) { // Every second page, in no order.
        const uint64_t page = (i * 77) % pages;
        *ram.at(page * 4096) = std::byte(page);
        memory = memory->with({.guest_address = page * 8192,
                               .size = 4096,
                               .user_address = ram.user_address(page * 4096),
                               .mmap_offset = page * 4096},
                              ram.fd());
    }
    for (uint64_t page = 0; page < pages; ++page) {
        ASSERT_NE(memory->at_guest_address(page * 8192, 4096), nullptr) << page;
        EXPECT_EQ(*memory->at_guest_address(page * 8192, 4096), std::byte(page));
        EXPECT_EQ(memory->at_guest_address(page * 8192 + 4096, 1), nullptr) << page;
    }
}

TEST_F(GuestMemoryTest, RegionsThatStayAreNotMappedAnew) {
    const fakes::GuestRam third(region_bytes, high_end);
    const std::byte* low = memory_->at_guest_address(low_begin, 1);
    const auto more = memory_->with(third.region(), third.fd());
    EXPECT_EQ(more->at_guest_address(low_begin, 1), low);
    EXPECT_NE(more->at_guest_address(high_end, region_bytes), nullptr);
    EXPECT_EQ(memory_->at_guest_address(high_end, 1), nullptr) << "the old table changed";
    const auto less = more->without(high_.region());
    EXPECT_EQ(less->at_guest_address(low_begin, 1), low);
    EXPECT_EQ(less->at_guest_address(high_begin, 1), nullptr);
    EXPECT_NE(less->at_guest_address(high_end, 1), nullptr);
}

TEST_F(GuestMemoryTest, BytesHereLeadBackToTheGuests) {
    const std::byte* low = memory_->at_guest_address(low_begin, 1);
    const std::byte* high = memory_->at_guest_address(high_begin, 1);
    EXPECT_EQ(memory_->range_at(low).address, low_begin);
    EXPECT_EQ(memory_->range_at(low).bytes, region_bytes);
    EXPECT_EQ(memory_->range_at(high + region_bytes - 1).address, high_end - 1);
    EXPECT_EQ(memory_->range_at(high + region_bytes - 1).bytes, 1u);
    EXPECT_EQ(memory_->range_at(nullptr).bytes, 0u);
}

TEST_F(GuestMemoryTest, MappingOutlivesTheTableItCameWith) {
    auto less = memory_->without(high_.region());
    memory_.reset();
    *low_.at(low_begin) = std::byte{9};
    EXPECT_EQ(*less->at_guest_address(low_begin, 1), std::byte{9});
}

TEST_F(GuestMemoryTest, EmptyRangeIsNoPart) {
    EXPECT_TRUE(append(low_begin, 0));
    EXPECT_EQ(list_.size(), 0u);
}

TEST_F(GuestMemoryTest, FullListTakesNoMore) {
    IovecList one(1);
    EXPECT_TRUE(memory_->append(low_begin, 1, one, last_));
    EXPECT_FALSE(memory_->append(low_begin + 8, 1, one, last_));
    EXPECT_EQ(one.size(), 1u);
}

TEST(GuestMemory, RegionMayBeginWithinAPageOfItsFile) {
    const fakes::GuestRam ram(3 * 4096, 0);
    const MemoryRegion region{
        .guest_address = 0x1000, .size = 5000, .user_address = 0x2000, .mmap_offset = 100};
    std::array fds = {copy_of(ram.fd())};
    *ram.at(100) = std::byte{1};
    *ram.at(5099) = std::byte{2};
    const auto memory = GuestMemory::map(std::span(&region, 1), fds);
    EXPECT_EQ(*memory->at_guest_address(0x1000, 1), std::byte{1});
    EXPECT_EQ(*memory->at_guest_address(0x1000 + 4999, 1), std::byte{2});
    EXPECT_EQ(memory->at_guest_address(0x1000 + 4999, 2), nullptr);
}

TEST(GuestMemory, RegionMayEndAtTheTopOfTheAddressSpace) {
    const fakes::GuestRam ram(4096, 0);
    const MemoryRegion region{.guest_address = ~uint64_t{0} - 4096,
                              .size = 4096,
                              .user_address = 0x2000,
                              .mmap_offset = 0};
    std::array fds = {copy_of(ram.fd())};
    const auto memory = GuestMemory::map(std::span(&region, 1), fds);
    EXPECT_NE(memory->at_guest_address(~uint64_t{0} - 1, 1), nullptr);
    EXPECT_EQ(memory->at_guest_address(~uint64_t{0}, 1), nullptr);
    IovecList list(4);
    GuestMemory::Window last;
    EXPECT_FALSE(memory->append(~uint64_t{0} - 1, 100, list, last));
}

TEST_F(GuestMemoryTest, RevokedMemoryReadsAsZerosAndCanBeWritten) {
    *low_.at(low_begin) = std::byte{1};
    ASSERT_EQ(ftruncate(low_.fd(), 0), 0);
    std::byte* first = memory_->at_guest_address(low_begin, region_bytes);
    EXPECT_EQ(*first, std::byte{0});
    EXPECT_EQ(first[region_bytes - 1], std::byte{0});
    first[5] = std::byte{7};
    EXPECT_EQ(first[5], std::byte{7});
}

TEST_F(GuestMemoryTest, OtherFilesThanTheRevokedAreStillTheGuests) {
    *high_.at(high_begin) = std::byte{3};
    ASSERT_EQ(ftruncate(low_.fd(), 0), 0);
    EXPECT_EQ(*memory_->at_guest_address(low_begin + 4096, 1), std::byte{0});
    EXPECT_EQ(*memory_->at_guest_address(high_begin, 1), std::byte{3});
}

// A process may have 65530 mappings (vm.max_map_count).
TEST(GuestMemory, RevokedInManyPlacesUsesUpNoMappings) {
    constexpr uint64_t step = 8192;
    constexpr uint64_t places = 70000;
    const fakes::GuestRam ram(places * step);
    const vhost::MemoryRegion region = ram.region();
    const UniqueFd fd(dup(ram.fd()));
    const auto memory = GuestMemory::map(std::span(&region, 1), std::span(&fd, 1));
    ASSERT_EQ(ftruncate(ram.fd(), 0), 0);
    for (uint64_t place = 0; place < places; ++place) {
        ASSERT_EQ(*memory->at_guest_address(region.guest_address + place * step, 1), std::byte{0});
    }
}

TEST_F(GuestMemoryTest, ManyTablesOneAfterTheOtherAreWatched) {
    for (int i = 0; i < 1000; ++i) {
        memory_ = map();
    }
    ASSERT_EQ(ftruncate(low_.fd(), 0), 0);
    EXPECT_EQ(*memory_->at_guest_address(low_begin, 1), std::byte{0});
}

using GuestMemoryDeathTest = GuestMemoryTest;

TEST_F(GuestMemoryDeathTest, BusErrorsElsewhereStillEndTheProcess) {
    ASSERT_EQ(ftruncate(low_.fd(), 0), 0);
    EXPECT_DEATH(*low_.at(low_begin) = std::byte{1}, ""); // The driver's mapping is not ours.
}

} // namespace
} // namespace tapline::vhost
