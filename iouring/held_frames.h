// Room for one whole frame behind each read of a turn. A frame that does not fit where it was
// read to ends here, and is held until the guest has buffers for it, in order. Outlives the
// worker: a ring that is reconfigured loses nothing.
#pragma once

#include "iouring/ring.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace tapline {

// The largest frame a tap gives (64 KiB of GSO payload, its headers, two VLAN tags) and the
// virtio header in front.
constexpr size_t frame_bytes_max = 65550 + 12 + 8;

class HeldFrames {
public:
    struct Frame {
        uint16_t slot;
        size_t bytes; // With the virtio header.
    };

    // Pages of it are only made when a frame first lies on them.
    HeldFrames() : memory_(new std::byte[frames_per_turn_max * frame_bytes_max]) {}

    std::span<std::byte> slot(uint16_t number) const {
        return {memory_.get() + number * frame_bytes_max, frame_bytes_max};
    }

    bool empty() const { return first_ == end_; }
    const Frame& front() const { return frames_[first_]; }
    std::span<const std::byte> front_bytes() const {
        return slot(front().slot).first(front().bytes);
    }
    void push(const Frame& frame) { frames_[end_++] = frame; }
    void pop() {
        if (++first_ == end_) {
            clear();
        }
    }
    void clear() { first_ = end_ = 0; }

private:
    std::unique_ptr<std::byte[]> memory_;
    std::array<Frame, frames_per_turn_max> frames_{};
    unsigned first_ = 0;
    unsigned end_ = 0; // No frame is pushed while an earlier turn's is held.
};

} // namespace tapline
