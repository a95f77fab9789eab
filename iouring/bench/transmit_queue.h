// A guest's transmit queue: frames made once, sent again and again with a new number, in bursts as
// Linux's virtio_net sends them. Used by one thread.
#pragma once

#include "iouring/bench/driver_ring.h"
#include "iouring/bench/frame.h"

#include <cstdint>
#include <vector>

namespace tapline::bench {

class TransmitQueue {
public:
    // kick belongs to the caller.
    TransmitQueue(DriverRing& ring, GuestRam& ram, const Mix& mix, const Path& path, uint16_t flow,
                  int kick);
    static size_t ram_bytes(uint16_t ring_size, const Mix& mix);

    // As many frames as there is room for, max at most. Returns how many.
    unsigned send(unsigned max) noexcept;

    uint64_t sent() const { return sent_; }
    uint64_t bytes_sent() const { return bytes_sent_; }
    uint64_t kicks() const { return kicks_; }
    bool is_empty() noexcept; // The device has given every frame back.
    // How often the ring was found full: where never, it is the guest that sets the pace.
    uint64_t times_full() const { return times_full_; }

private:
    void reclaim() noexcept;

    DriverRing& ring_;
    const int kick_;
    std::vector<std::byte*> frames_;    // By chain.
    std::vector<uint32_t> frame_bytes_; // By chain.
    std::vector<uint16_t> free_; // A stack would let a few frames go round; first in, first out.
    uint16_t free_begin_ = 0;
    uint16_t free_count_;
    uint64_t sent_ = 0;
    uint64_t bytes_sent_ = 0;
    uint64_t kicks_ = 0;
    uint64_t times_full_ = 0;
};

} // namespace tapline::bench
