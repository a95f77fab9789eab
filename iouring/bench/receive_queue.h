// A guest's receive queue with mergeable buffers: counts the frames that come, looks closely at
// some of them, and gives the buffers back as Linux's virtio_net does. Used by one thread.
#pragma once

#include "iouring/bench/driver_ring.h"
#include "iouring/bench/frame.h"

#include <cstdint>
#include <vector>

namespace tapline::bench {

class ReceiveQueue {
public:
    // kick belongs to the caller.
    ReceiveQueue(DriverRing& ring, GuestRam& ram, const Mix& mix, int kick);
    static size_t ram_bytes(uint16_t ring_size);

    // Takes what has come. Returns how many frames.
    unsigned receive() noexcept;

    uint64_t received() const { return received_; }
    uint64_t bytes_received() const { return bytes_received_; }
    const Inspector& inspector() const { return inspector_; }
    uint64_t malformed() const { return malformed_; } // By length or number of buffers.

private:
    void begin_frame(const std::byte* buffer, uint32_t length) noexcept;
    void end_frame() noexcept;
    void give_back() noexcept;

    DriverRing& ring_;
    const int kick_;
    std::vector<std::byte*> buffers_; // By chain.
    std::vector<std::byte> frame_;    // One that is looked at, gathered from its buffers.
    size_t frame_bytes_ = 0;
    uint16_t buffers_to_come_ = 0; // Of the frame that has begun.
    bool looks_ = false;           // At that frame.
    uint16_t unpublished_ = 0;
    bool asked_for_call_ = false;

    uint64_t received_ = 0;
    uint64_t bytes_received_ = 0;
    uint64_t malformed_ = 0;
    Inspector inspector_;
};

} // namespace tapline::bench
