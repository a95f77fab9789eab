// What single steps of the packet path take, by the clock. The driver does no more than it must, so
// that the device is what is measured.

#include "iouring/guest_to_wire.h"
#include "iouring/held_frames.h"
#include "iouring/wire_to_guest.h"
#include "tests/fakes/wire.h"
#include "tests/micro/guest_lane.h"

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <deque>
#include <stdexcept>
#include <vector>

namespace tapline::micro {
namespace {

using fakes::DriverRing;

constexpr uint16_t ring_size = 256;
constexpr size_t header_bytes = 12;
constexpr uint32_t frame_bytes = 64 + header_bytes;
constexpr uint32_t receive_buffer_bytes = 1536;

// Runs `measured`, and lets only its time count.
template <typename Step> void timed(benchmark::State& state, Step measured) {
    const auto begin = std::chrono::steady_clock::now();
    measured();
    state.SetIterationTime(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
}

// Takes a whole ring of chains off, chain by chain, and gives it back.
void ring(benchmark::State& state, bool packed, DriverRing::Layout layout) {
    GuestLane lane(packed, ring_size);
    const auto queue = lane.take_queue();
    vhost::IovecList parts(ring_size + vhost::chain_parts_max);
    for (auto _ : state) {
        lane.add(ring_size, frame_bytes, false, layout);
        timed(state, [&] {
            parts.clear();
            vhost::Chain chain;
            while (queue->peek(parts, chain)) {
                queue->complete(chain, 0);
            }
            benchmark::DoNotOptimize(queue->publish());
        });
        if (lane.take_back() != ring_size) {
            throw std::runtime_error("the device kept chains");
        }
    }
    state.SetItemsProcessed(state.iterations() * ring_size);
}

// Finds buffers in as many regions as asked for, each in another one than the last.
void translation(benchmark::State& state) {
    constexpr size_t region_bytes = 1 << 20;
    std::deque<fakes::GuestRam> rams;
    std::vector<vhost::MemoryRegion> regions;
    std::vector<UniqueFd> fds;
    for (int64_t i = 0; i < state.range(0); ++i) {
        rams.emplace_back(region_bytes, static_cast<uint64_t>(i) * 2 * region_bytes);
        regions.push_back(rams.back().region());
        fds.emplace_back(fcntl(rams.back().fd(), F_DUPFD_CLOEXEC, 0));
    }
    const auto memory = vhost::GuestMemory::map(regions, fds);
    vhost::IovecList parts(regions.size());
    for (auto _ : state) {
        parts.clear();
        vhost::GuestMemory::Window last;
        for (const vhost::MemoryRegion& region : regions) {
            if (!memory->append(region.guest_address + 0x1000, frame_bytes, parts, last)) {
                throw std::runtime_error("the buffer was not found");
            }
        }
        benchmark::DoNotOptimize(parts.end());
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

// A whole turn with so many frames. The wire is a socket, so the kernel's part is not a tap's.
void guest_to_wire(benchmark::State& state, bool packed) {
    const auto batch = static_cast<unsigned>(state.range(0));
    fakes::Wire wire;
    GuestLane lane(packed, ring_size);
    const auto queue = lane.take_queue();
    const auto ring = Ring::create(wire.tap_fd());
    ring->enable();
    DirectionCounters counters;
    GuestToWire path(*queue, header_bytes, GuestToWire::Fate::send, counters);
    for (auto _ : state) {
        lane.add(batch, frame_bytes, false);
        timed(state, [&] {
            path.collect(*ring);
            ring->submit();
            benchmark::DoNotOptimize(path.publish());
        });
        lane.take_back();
        std::array<std::byte, frame_bytes> frame{};
        while (recv(wire.far_fd(), frame.data(), frame.size(), MSG_DONTWAIT) > 0) {}
    }
    state.SetItemsProcessed(static_cast<int64_t>(counters.frames.value()));
}

void wire_to_guest(benchmark::State& state, bool packed) {
    const auto batch = static_cast<unsigned>(state.range(0));
    fakes::Wire wire;
    GuestLane lane(packed, ring_size);
    const auto queue = lane.take_queue();
    HeldFrames held;
    const auto ring = Ring::create(wire.tap_fd(), &held);
    ring->enable();
    DirectionCounters counters;
    WireToGuest path(*queue, {.header_bytes = header_bytes, .mergeable = true}, held, counters);
    lane.add(ring_size, receive_buffer_bytes, true);
    for (auto _ : state) {
        for (unsigned i = 0; i < batch; ++i) {
            wire.send(std::array<std::byte, frame_bytes>{});
        }
        timed(state, [&] {
            do {
                path.offer(*ring);
                ring->submit();
                ring->for_each_completion(
                    [&](Tag tag, int32_t result, bool) { path.completed(tag.slot(), result); });
                benchmark::DoNotOptimize(path.publish());
            } while (!path.tap_is_empty());
        });
        lane.add(lane.take_back(), receive_buffer_bytes, true);
    }
    state.SetItemsProcessed(static_cast<int64_t>(counters.frames.value()));
}

BENCHMARK_CAPTURE(ring, split_direct, false, DriverRing::Layout::direct)->UseManualTime();
BENCHMARK_CAPTURE(ring, split_indirect, false, DriverRing::Layout::indirect)->UseManualTime();
BENCHMARK_CAPTURE(ring, packed_direct, true, DriverRing::Layout::direct)->UseManualTime();
BENCHMARK_CAPTURE(ring, packed_indirect, true, DriverRing::Layout::indirect)->UseManualTime();
BENCHMARK(translation)->ArgName("regions")->Arg(1)->Arg(2)->Arg(8);
BENCHMARK_CAPTURE(guest_to_wire, split, false)->ArgName("batch")->Arg(1)->Arg(64)->UseManualTime();
BENCHMARK_CAPTURE(guest_to_wire, packed, true)->ArgName("batch")->Arg(1)->Arg(64)->UseManualTime();
BENCHMARK_CAPTURE(wire_to_guest, split, false)->ArgName("batch")->Arg(1)->Arg(64)->UseManualTime();
BENCHMARK_CAPTURE(wire_to_guest, packed, true)->ArgName("batch")->Arg(1)->Arg(64)->UseManualTime();

} // namespace
} // namespace tapline::micro

BENCHMARK_MAIN();
