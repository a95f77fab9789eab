// Memory that a front end shares and takes back region by region.
#include "tests/unit/session_fixture.h"

#include <memory>

namespace tapline::vhost {
namespace {

using enum Request;
using enum ProtocolFault;

class SessionMemory : public SessionFixture {
protected:
    std::optional<ProtocolFault> add(const MemoryRegion& region) {
        return tell(add_mem_reg, SingleMemoryRegion{.padding = 0, .region = region}, {ram_.fd()});
    }

    std::optional<ProtocolFault> remove(const MemoryRegion& region, std::vector<int> fds = {}) {
        return tell(rem_mem_reg, SingleMemoryRegion{.padding = 0, .region = region},
                    std::move(fds));
    }

    // One page of the guest's memory, a region of its own.
    MemoryRegion page(uint64_t number) {
        const MemoryRegion whole = ram_.region();
        return {.guest_address = whole.guest_address + number * 8192,
                .size = 4096,
                .user_address = whole.user_address + number * 8192,
                .mmap_offset = 4096 * (number % 256)};
    }

    bool has(const MemoryRegion& region) {
        return session_.memory()->at_guest_address(region.guest_address, region.size) != nullptr;
    }
};

TEST_F(SessionMemory, HasAsManySlotsAsItSays) {
    ASSERT_EQ(ask<uint64_t>(get_max_mem_slots), memory_slots_max);
    for (uint64_t number = 0; number < memory_slots_max; ++number) {
        ASSERT_EQ(add(page(number)), accepted) << number;
    }
    EXPECT_TRUE(has(page(0)) && has(page(memory_slots_max - 1)));
    expect_refused(memory_region, [&] { return add(page(memory_slots_max)); });
    EXPECT_EQ(remove(page(7)), accepted);
    EXPECT_EQ(add(page(memory_slots_max)), accepted);
}

TEST_F(SessionMemory, RegionsComeAndGo) {
    EXPECT_EQ(add(page(1)), accepted);
    EXPECT_EQ(add(page(0)), accepted);
    EXPECT_TRUE(has(page(0)) && has(page(1)));
    EXPECT_EQ(remove(page(1)), accepted);
    EXPECT_FALSE(has(page(1)));
    EXPECT_TRUE(has(page(0)));
    EXPECT_EQ(add(page(1)), accepted);
    EXPECT_TRUE(has(page(1)));
}

TEST_F(SessionMemory, RemovalIgnoresTheOffsetAndADescriptor) {
    MemoryRegion region = page(0);
    add(region);
    region.mmap_offset = 12345;
    const size_t before = open_fds();
    EXPECT_EQ(remove(region, {ram_.fd()}), accepted);
    EXPECT_FALSE(has(region));
    EXPECT_EQ(open_fds(), before);
}

TEST_F(SessionMemory, ATableReplacesWhatWasAdded) {
    MemoryRegion elsewhere = page(0);
    elsewhere.guest_address += 1ull << 40;
    elsewhere.user_address += 1ull << 40;
    add(elsewhere);
    share_memory();
    EXPECT_FALSE(has(elsewhere));
    EXPECT_TRUE(has(ram_.region()));
    EXPECT_EQ(add(elsewhere), accepted) << "regions may be added to a table";
    EXPECT_TRUE(has(elsewhere) && has(ram_.region()));
}

TEST_F(SessionMemory, RemovalThatMatchesNoRegion) {
    expect_refused(memory_region, [&] { return remove(page(0)); });
    add(page(0));
    for (uint64_t MemoryRegion::*field :
         {&MemoryRegion::guest_address, &MemoryRegion::user_address, &MemoryRegion::size}) {
        MemoryRegion other = page(0);
        other.*field += 4096;
        expect_refused(memory_region, [&] { return remove(other); });
    }
    remove(page(0));
    expect_refused(memory_region, [&] { return remove(page(0)); });
}

TEST_F(SessionMemory, RegionsThatCannotBeAdded) {
    add(page(0));
    MemoryRegion region = page(1);
    region.size = 0;
    expect_refused(memory_region, [&] { return add(region); });
    region = page(1);
    region.mmap_offset = ram_.size();
    expect_refused(memory_region, [&] { return add(region); });
    region = page(0);
    region.user_address += 1ull << 40;
    expect_refused(memory_region, [&] { return add(region); });
    expect_refused(memory_region, [&] {
        return tell(add_mem_reg, SingleMemoryRegion{.padding = 0, .region = page(1)},
                    {event_.get()});
    });
}

TEST_F(SessionMemory, RegionsOfAnyOtherSizeOrNumberOfDescriptors) {
    const SingleMemoryRegion region{.padding = 0, .region = page(0)};
    const std::vector<std::byte> zeros(payload_bytes_max);
    for (const Request request : {add_mem_reg, rem_mem_reg}) {
        const auto number = static_cast<uint32_t>(request);
        for (const size_t size : {size_t{0}, sizeof region - 1, sizeof region + 1, zeros.size()}) {
            expect_refused(wrong_payload_size, [&] {
                return tell_bytes(number, std::span(zeros).first(size), {ram_.fd()});
            });
        }
        expect_refused(wrong_fd_count, [&] {
            return tell(request, region, {ram_.fd(), ram_.fd()});
        });
    }
    expect_refused(wrong_fd_count, [&] { return tell(add_mem_reg, region); });
}

} // namespace
} // namespace tapline::vhost
