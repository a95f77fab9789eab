// What stands behind a macvtap device: a guest with its backend, or bare reads and writes.
#pragma once

#include "iouring/bench/driver_ring.h"
#include "iouring/bench/frame.h"

#include <cstdint>

namespace tapline::bench {

constexpr uint16_t guest_ring_size = 256; // Entries; QEMU's default.

struct StationPlan {
    RingLayout layout;
    uint16_t queue_pairs;
    Mix mix;
    Path path; // Of what it sends.
    bool sends;
    bool receives;
};

class Station {
public:
    // Since its start.
    struct Counts {
        uint64_t sent = 0; // Taken by the device.
        uint64_t bytes_sent = 0;
        uint64_t received = 0;
        uint64_t bytes_received = 0;
        uint64_t looked_at = 0; // Of those received.
        uint64_t damaged = 0;
        uint64_t reordered = 0;
        uint64_t kicks = 0;      // Of the transmit rings.
        uint64_t calls = 0;      // Of the receive rings.
        uint64_t times_full = 0; // The transmit rings.
    };

    virtual ~Station() = default;
    Station(const Station&) = delete;
    Station& operator=(const Station&) = delete;

    // The guest's turn, by its only CPU: a burst into each queue, so many frames in all at most;
    // what has come. Returns how many frames. Without effect where the station moves frames by
    // itself.
    virtual unsigned send(unsigned max) noexcept = 0;
    virtual unsigned receive() noexcept = 0;
    virtual void stop_sending() noexcept = 0;
    // The device has taken all that was sent.
    virtual bool all_taken() noexcept = 0;

    // Frames so far, at no cost.
    virtual uint64_t received() const noexcept = 0;
    virtual Counts counts() = 0;
    // CPU time of the backend, in nanoseconds.
    virtual uint64_t cpu_ns() const = 0;

protected:
    Station() = default;
};

} // namespace tapline::bench
