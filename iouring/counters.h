// Counts of one direction of a queue pair: written by its worker, read by anyone.
#pragma once

#include "vhost/virtqueue.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tapline {

enum class Direction : uint8_t { wire_to_guest, guest_to_wire };
constexpr size_t direction_count = 2;

// Why a frame, or a chain that should have held one, went no further.
enum class Drop : uint8_t {
    too_short,          // From the guest: less than a header and an Ethernet header.
    too_long,           // From the guest: more than any frame has.
    not_readable,       // From the guest: the chain has parts to write to.
    refused_by_tap,     // The kernel does not take the frame, for example for its virtio header.
    no_room_for_header, // To the guest: a chain to read from, or too small for a header.
    too_big_for_guest,  // To the guest: longer than the buffers it can offer.
    failed_read,        // The tap queue gave an error instead of a frame.
    disabled,           // From the guest: sent while the ring was disabled.
    tap_busy,           // The kernel had no memory for the frame at that moment.
    // From the guest, with port security:
    spoofed_mac,
    spoofed_ip,
    router_advertisement,
    dhcp_answer,
    unreadable, // Its headers may hide one of the above.
};
constexpr size_t drop_count = static_cast<size_t>(Drop::unreadable) + 1;
const char* to_text(Drop drop);

class Counter {
public:
    // Only the worker adds, so no atomic addition is needed.
    void add(uint64_t amount) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }
    uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<uint64_t> value_ = 0;
};

struct DirectionCounters {
    Counter frames;
    Counter bytes;          // Of Ethernet, without virtio headers.
    Counter express_frames; // Of those, what took the express lane.
    std::array<Counter, drop_count> drops;
    std::array<Counter, vhost::ring_fault_count> faults;

    void drop(Drop why) noexcept { drops[static_cast<size_t>(why)].add(1); }
};

} // namespace tapline
