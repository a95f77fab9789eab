// Memory that a front end shares beside the table: region by region, to log and to track.
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

TEST_F(SessionMemory, RemovalThatMatchesNoRegionRemovesNone) {
    expect_refused(memory_region, [&] { return remove(page(0)); });
    add(page(0));
    for (uint64_t MemoryRegion::*field :
         {&MemoryRegion::guest_address, &MemoryRegion::user_address, &MemoryRegion::size}) {
        MemoryRegion other = page(0);
        other.*field += 4096;
        EXPECT_EQ(remove(other), accepted);
        EXPECT_TRUE(has(page(0)));
    }
}

// As QEMU 7.2 does with several queue pairs, once for each.
TEST_F(SessionMemory, RegionMayBeAddedAndRemovedAgain) {
    add(page(0));
    EXPECT_EQ(add(page(0)), accepted);
    EXPECT_TRUE(has(page(0)));
    EXPECT_EQ(remove(page(0)), accepted);
    EXPECT_EQ(remove(page(0)), accepted);
    EXPECT_FALSE(has(page(0)));
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

class SessionLog : public SessionFixture {
protected:
    std::optional<ProtocolFault> share_log(const LogArea& area) {
        return tell(set_log_base, area, {log_.fd()});
    }

    fakes::GuestRam log_{8192, 0};
};

TEST_F(SessionLog, IsKeptWhileTheFeatureIsSet) {
    tell(set_protocol_features, protocol_feature_log_shmfd);
    EXPECT_EQ(share_log({.size = 4096, .mmap_offset = 4096}), accepted);
    EXPECT_EQ(front_end_.receive_as<uint64_t>(), 0u);
    EXPECT_EQ(session_.dirty_log(), nullptr);
    tell(set_features, bit(Feature::log_all));
    ASSERT_NE(session_.dirty_log(), nullptr);
    session_.dirty_log()->mark(0x3000, 1);
    EXPECT_EQ(*log_.at(4096), std::byte{1 << 3});
    tell(set_features, uint64_t{0});
    EXPECT_EQ(session_.dirty_log(), nullptr);
}

TEST_F(SessionLog, WithoutItsProtocolFeatureHasNoAnswer) {
    EXPECT_EQ(share_log({.size = 4096, .mmap_offset = 0}), accepted);
    EXPECT_EQ(ask<uint64_t>(get_queue_num), 4u) << "no other answer came before this one";
}

TEST_F(SessionLog, DescriptorToTellOfChangesIsClosed) {
    const size_t before = open_fds();
    front_end_.send(static_cast<uint32_t>(set_log_fd), {}, {.fds = {event_.get()}});
    EXPECT_EQ(serve(), accepted);
    EXPECT_EQ(open_fds(), before);
}

TEST_F(SessionLog, ThatCannotBe) {
    share_log({.size = 4096, .mmap_offset = 0});
    for (const LogArea& area :
         {LogArea{.size = 0, .mmap_offset = 0}, LogArea{.size = 8193, .mmap_offset = 0},
          LogArea{.size = 4096, .mmap_offset = 4097},
          LogArea{.size = ~uint64_t{0}, .mmap_offset = 4096}}) {
        expect_refused(memory_region, [&] { return share_log(area); });
    }
    expect_refused(memory_region, [&] {
        return tell(set_log_base, LogArea{.size = 8, .mmap_offset = 0}, {event_.get()});
    });
    expect_refused(wrong_fd_count,
                   [&] { return tell(set_log_base, LogArea{.size = 8, .mmap_offset = 0}); });
    expect_refused(wrong_payload_size,
                   [&] { return tell(set_log_base, uint64_t{0}, {log_.fd()}); });
    expect_refused(wrong_fd_count, [&] { return tell(set_log_fd); });
}

using SessionInflight = SessionFixture;

TEST_F(SessionInflight, BufferIsMadeAndTakenBack) {
    constexpr Inflight wanted{.size = 0, .mmap_offset = 0, .queues = 4, .queue_size = 1024};
    for (const size_t bytes : {sizeof wanted, inflight_bytes_min}) {
        const auto payload = std::as_bytes(std::span(&wanted, 1)).first(bytes);
        EXPECT_EQ(tell_bytes(static_cast<uint32_t>(get_inflight_fd), payload), accepted);
        UniqueFd buffer;
        const std::vector<std::byte> answer = front_end_.receive(&buffer);
        ASSERT_EQ(answer.size(), bytes);
        Inflight made{};
        std::memcpy(&made, answer.data(), bytes);
        EXPECT_GE(made.size, 4u * 1024 * 32);
        EXPECT_EQ(made.mmap_offset, 0u);
        EXPECT_EQ(made.queues, 4);
        EXPECT_EQ(made.queue_size, 1024);
        ASSERT_TRUE(buffer);
        EXPECT_EQ(tell_bytes(static_cast<uint32_t>(set_inflight_fd), answer, {buffer.get()}),
                  accepted);
    }
}

TEST_F(SessionInflight, DescriptorsDoNotPileUp) {
    constexpr Inflight wanted{.size = 0, .mmap_offset = 0, .queues = 1, .queue_size = 1};
    const size_t before = open_fds();
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(tell(get_inflight_fd, wanted), accepted);
        UniqueFd buffer;
        front_end_.receive(&buffer);
        EXPECT_EQ(tell(set_inflight_fd, Inflight{.size = 64, .queues = 1, .queue_size = 1},
                       {buffer.get()}),
                  accepted);
    }
    EXPECT_EQ(open_fds(), before);
}

TEST_F(SessionInflight, OfRingsThatCannotBe) {
    constexpr uint16_t too_large = ring_size_max + 1;
    for (const Inflight& wanted :
         {Inflight{.queues = 0, .queue_size = 1}, Inflight{.queues = 5, .queue_size = 1},
          Inflight{.queues = 1, .queue_size = 0}, Inflight{.queues = 1, .queue_size = too_large}}) {
        expect_refused(bad_value, [&] { return tell(get_inflight_fd, wanted); });
        expect_refused(bad_value, [&] { return tell(set_inflight_fd, wanted, {ram_.fd()}); });
    }
    const Inflight beyond{.size = ram_.size(), .mmap_offset = 1, .queues = 1, .queue_size = 1};
    expect_refused(memory_region, [&] { return tell(set_inflight_fd, beyond, {ram_.fd()}); });
    expect_refused(memory_region, [&] { return tell(set_inflight_fd, beyond, {event_.get()}); });
    expect_refused(wrong_fd_count, [&] { return tell(set_inflight_fd, beyond); });
    expect_refused(wrong_payload_size, [&] { return tell(get_inflight_fd, uint64_t{0}); });
}

} // namespace
} // namespace tapline::vhost
