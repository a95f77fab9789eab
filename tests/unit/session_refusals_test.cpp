#include "tests/unit/session_fixture.h"

#include <fcntl.h>

#include <functional>
#include <memory>

namespace tapline::vhost {
namespace {

using enum Request;
using enum ProtocolFault;

class SessionRefusals : public SessionFixture {
protected:
    std::optional<ProtocolFault> share(const MemoryRegion& region) {
        return share(std::vector{region});
    }

    std::optional<ProtocolFault> share(const std::vector<MemoryRegion>& regions) {
        MemoryTable table{
            .count = static_cast<uint32_t>(regions.size()), .padding = 0, .regions = {}};
        std::ranges::copy(regions, table.regions);
        return tell(set_mem_table, table, std::vector<int>(regions.size(), ram_.fd()));
    }

    MemoryRegion region_with(const std::function<void(MemoryRegion&)>& change) {
        MemoryRegion region = ram_.region();
        change(region);
        return region;
    }
};

TEST_F(SessionRefusals, UnknownRequests) {
    for (const uint32_t request : {0u, 23u, 24u, 33u, 1000u, UINT32_MAX}) {
        expect_refused(unknown_request, [&] { return tell_bytes(request, {}, {event_.get()}); });
    }
}

TEST_F(SessionRefusals, FeaturesThatWereNotOffered) {
    tell(set_features, bit(Feature::version_1));
    for (const uint64_t wanted : {bit(Feature::csum), ~uint64_t{0}, uint64_t{1} << 63}) {
        expect_refused(unoffered_feature, [&] { return tell(set_features, wanted); });
        expect_refused(unoffered_feature,
                       [&] { return tell(set_protocol_features, uint64_t{1} << 7); });
    }
}

struct SizedRequest {
    Request request;
    size_t bytes;
};
constexpr SizedRequest sized_requests[] = {
    {get_features, 0},
    {set_features, 8},
    {set_owner, 0},
    {reset_owner, 0},
    {set_vring_num, sizeof(VringState)},
    {set_vring_addr, sizeof(VringAddresses)},
    {set_vring_base, sizeof(VringState)},
    {get_vring_base, sizeof(VringState)},
    {set_vring_kick, 8},
    {set_vring_call, 8},
    {set_vring_err, 8},
    {get_protocol_features, 0},
    {set_protocol_features, 8},
    {get_queue_num, 0},
    {set_vring_enable, sizeof(VringState)},
    {send_rarp, 8},
    {net_set_mtu, 8},
    {reset_device, 0},
    {get_max_mem_slots, 0},
    {set_status, 8},
    {get_status, 0},
};

TEST_F(SessionRefusals, PayloadsOfAnyOtherSize) {
    const std::vector<std::byte> zeros(payload_bytes_max);
    for (const auto& [request, bytes] : sized_requests) {
        SCOPED_TRACE(static_cast<int>(request));
        const auto number = static_cast<uint32_t>(request);
        for (const size_t wrong : {bytes + 1, bytes + 8, bytes - 1, zeros.size()}) {
            if (wrong <= zeros.size()) {
                expect_refused(wrong_payload_size,
                               [&] { return tell_bytes(number, std::span(zeros).first(wrong)); });
            }
        }
    }
}

TEST_F(SessionRefusals, DescriptorsWhereNoneBelong) {
    const std::vector<std::byte> zeros(payload_bytes_max);
    for (const SizedRequest& sized : sized_requests) {
        if (sized.request == set_vring_kick || sized.request == set_vring_call ||
            sized.request == set_vring_err) {
            continue;
        }
        const auto number = static_cast<uint32_t>(sized.request);
        SCOPED_TRACE(number);
        expect_refused(wrong_fd_count, [&] {
            return tell_bytes(number, std::span(zeros).first(sized.bytes), {event_.get()});
        });
    }
}

TEST_F(SessionRefusals, DescriptorCountThatIsNotTheAnnouncedOne) {
    share_memory();
    start_ring(0);
    for (const Request request : {set_vring_kick, set_vring_call, set_vring_err}) {
        SCOPED_TRACE(static_cast<int>(request));
        expect_refused(wrong_fd_count, [&] { return tell(request, uint64_t{0}); });
        expect_refused(wrong_fd_count,
                       [&] { return tell(request, vring_fd_none, {event_.get()}); });
        expect_refused(wrong_fd_count, [&] {
            return tell(request, uint64_t{0}, {event_.get(), event_.get()});
        });
    }
}

TEST_F(SessionRefusals, RingsThatDoNotExist) {
    tell(set_features, bit(Feature::protocol_features));
    share_memory();
    for (const uint32_t index : {4u, 5u, 255u, 256u, UINT32_MAX}) {
        SCOPED_TRACE(index);
        for (const Request request :
             {set_vring_num, set_vring_base, get_vring_base, set_vring_enable}) {
            expect_refused(ring_index,
                           [&] { return tell(request, VringState{.index = index, .num = 1}); });
        }
        expect_refused(ring_index, [&] { return tell(set_vring_addr, ring_.addresses(index)); });
    }
    for (const Request request : {set_vring_kick, set_vring_call, set_vring_err}) {
        expect_refused(ring_index, [&] { return tell(request, uint64_t{4}, {event_.get()}); });
        expect_refused(ring_index, [&] { return tell(request, uint64_t{255} | vring_fd_none); });
    }
}

TEST_F(SessionRefusals, RingSizesThatAreNoPowerOfTwoOrTooBig) {
    tell(set_vring_num, VringState{.index = 0, .num = 128});
    for (const uint32_t size : {0u, 3u, 255u, 257u, 32769u, 65536u, 1u << 31, UINT32_MAX}) {
        expect_refused(ring_size,
                       [&] { return tell(set_vring_num, VringState{.index = 0, .num = size}); });
    }
}

TEST_F(SessionRefusals, RingSizeOfADisabledRingThatStaysStarted) {
    tell(set_features, bit(Feature::protocol_features));
    share_memory();
    start_ring(0);
    expect_refused(ring_size,
                   [&] { return tell(set_vring_num, VringState{.index = 0, .num = 3}); });
    EXPECT_TRUE(session_.rings()[0].started);
}

TEST_F(SessionRefusals, DescriptorsOfARingThatAreNoEventfds) {
    share_memory();
    start_ring(0);
    for (const Request request : {set_vring_kick, set_vring_call, set_vring_err}) {
        for (const int fd : {ram_.fd(), front_end_.fd()}) {
            expect_refused(wrong_fd_type, [&] { return tell(request, uint64_t{0}, {fd}); });
        }
    }
}

TEST_F(SessionRefusals, BaseOfMoreThanSixteenBits) {
    for (const uint32_t base : {65536u, UINT32_MAX}) {
        expect_refused(ring_index,
                       [&] { return tell(set_vring_base, VringState{.index = 0, .num = base}); });
    }
}

TEST_F(SessionRefusals, SizeAndBaseOfARingThatRuns) {
    share_memory();
    start_ring(0);
    expect_refused(out_of_order,
                   [&] { return tell(set_vring_num, VringState{.index = 0, .num = 128}); });
    expect_refused(out_of_order,
                   [&] { return tell(set_vring_base, VringState{.index = 0, .num = 5}); });
}

TEST_F(SessionRefusals, EnableThatIsNeitherYesNorNo) {
    tell(set_features, bit(Feature::protocol_features));
    expect_refused(ring_index, [&] { return enable_ring(0, 2); });
}

TEST_F(SessionRefusals, MtuThatTheDeviceDoesNotCarry) {
    for (const uint64_t mtu : {uint64_t{0}, uint64_t{67}, uint64_t{9001}, ~uint64_t{0}}) {
        expect_refused(bad_value, [&] { return tell(net_set_mtu, mtu); });
    }
}

TEST_F(SessionRefusals, AnnouncementOfWhatIsNoStation) {
    for (const uint64_t address : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}}) {
        expect_refused(bad_value, [&] { return tell(send_rarp, address); });
        EXPECT_FALSE(session_.take_announcement());
    }
}

TEST_F(SessionRefusals, StatusOfMoreThanEightBits) {
    tell(set_status, uint64_t{7});
    expect_refused(bad_value, [&] { return tell(set_status, uint64_t{256}); });
    EXPECT_EQ(ask<uint64_t>(get_status), 7u);
}

TEST_F(SessionRefusals, MemoryTableShorterThanItsCount) {
    MemoryTable table{.count = 2, .padding = 0, .regions = {ram_.region()}};
    const auto bytes = std::as_bytes(std::span(&table, 1));
    const auto number = static_cast<uint32_t>(set_mem_table);
    const std::vector<int> fds(2, ram_.fd());
    share_memory();
    for (const size_t size : {size_t{0}, size_t{7}, size_t{8}, size_t{40}, size_t{71}}) {
        expect_refused(wrong_payload_size,
                       [&] { return tell_bytes(number, bytes.first(size), fds); });
    }
    table.count = memory_regions_max + 1;
    expect_refused(wrong_payload_size, [&] { return tell_bytes(number, bytes, fds); });
    table.count = UINT32_MAX;
    expect_refused(wrong_payload_size, [&] { return tell_bytes(number, bytes, fds); });
}

TEST_F(SessionRefusals, DescriptorsOtherThanOneAMemoryRegion) {
    const MemoryTable table{.count = 1, .padding = 0, .regions = {ram_.region()}};
    share_memory();
    expect_refused(wrong_fd_count, [&] { return tell(set_mem_table, table); });
    expect_refused(wrong_fd_count, [&] {
        return tell(set_mem_table, table, {ram_.fd(), ram_.fd()});
    });
}

TEST_F(SessionRefusals, MemoryRegionsThatCannotBe) {
    share_memory();
    const std::pair<const char*, std::function<void(MemoryRegion&)>> changes[] = {
        {"empty", [](auto& region) { region.size = 0; }},
        {"longer than its file", [](auto& region) { region.size += 1; }},
        {"begins at the end of its file", [](auto& region) { region.mmap_offset = region.size; }},
        {"far behind its file", [](auto& region) { region.mmap_offset = 1ull << 62; }},
        {"guest address wraps", [](auto& region) { region.guest_address = ~uint64_t{0} - 4096; }},
        {"user address wraps", [](auto& region) { region.user_address = ~uint64_t{0} - 4096; }},
        {"offset wraps", [](auto& region) { region.mmap_offset = ~uint64_t{0} - 4096; }},
        {"size wraps", [](auto& region) { region.size = ~uint64_t{0}; }},
    };
    for (const auto& [what, change] : changes) {
        SCOPED_TRACE(what);
        const MemoryRegion region = region_with(change);
        expect_refused(memory_region, [&] { return share(region); });
    }
}

TEST_F(SessionRefusals, MemoryRegionsThatOverlap) {
    constexpr uint64_t half = 1 << 19;
    const MemoryRegion first{
        .guest_address = 0x100000, .size = half, .user_address = 0x7f0000000000, .mmap_offset = 0};
    MemoryRegion second{.guest_address = 0x100000 + half,
                        .size = half,
                        .user_address = 0x7f0000000000 + half,
                        .mmap_offset = half};
    EXPECT_EQ(share({first, second}), accepted);
    for (uint64_t MemoryRegion::*address :
         {&MemoryRegion::guest_address, &MemoryRegion::user_address}) {
        MemoryRegion overlapping = second;
        overlapping.*address -= 1;
        expect_refused(memory_region, [&] { return share({first, overlapping}); });
        expect_refused(memory_region, [&] { return share({overlapping, first}); });
    }
    expect_refused(memory_region, [&] { return share({first, first}); });
}

TEST_F(SessionRefusals, MemoryThatIsNoFile) {
    const MemoryTable table{.count = 1, .padding = 0, .regions = {ram_.region()}};
    const UniqueFd folder(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    share_memory();
    for (const int fd : {event_.get(), front_end_.fd(), folder.get()}) {
        expect_refused(memory_region, [&] { return tell(set_mem_table, table, {fd}); });
    }
}

TEST_F(SessionRefusals, MemoryThatMayOnlyBeRead) {
    const MemoryTable table{.count = 1, .padding = 0, .regions = {ram_.region()}};
    const std::string path = fmt::format("/proc/self/fd/{}", ram_.fd());
    const UniqueFd read_only(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(read_only);
    expect_refused(memory_region, [&] { return tell(set_mem_table, table, {read_only.get()}); });
}

TEST_F(SessionRefusals, LastOfManyRegionsUndoesAll) {
    std::vector<MemoryRegion> regions;
    for (uint64_t i = 0; i < memory_regions_max; ++i) {
        regions.push_back({.guest_address = i << 32,
                           .size = 4096,
                           .user_address = (i + 1) << 32,
                           .mmap_offset = 4096 * i});
    }
    EXPECT_EQ(share(regions), accepted);
    regions.back().size = 0;
    expect_refused(memory_region, [&] { return share(regions); });
}

} // namespace
} // namespace tapline::vhost
