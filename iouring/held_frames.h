// Room for one whole frame each read of a turn. Frames are read there and copied to the guest, and
// those it has no buffers for are held, in order. Outlives the worker: a ring that is reconfigured
// loses nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace tapline {

// The largest frame a tap gives (64 KiB of GSO payload, its headers, two VLAN tags) and the
// virtio header in front.
constexpr size_t frame_bytes_max = 65550 + 12 + 8;

constexpr unsigned reads_per_turn_max = 32; // 16 to 64 measure the same.

class HeldFrames {
public:
    using Frame = std::span<const std::byte>; // In its slot, with the virtio header.

    // Whole cache lines, and no multiple of a page: else all frames would begin in the same sets.
    static constexpr size_t stride = 1025 * 64;
    static_assert(stride >= frame_bytes_max);

    HeldFrames() : memory_(new std::byte[memory_bytes]) {}

    std::span<std::byte> memory() const { return {memory_.get(), memory_bytes}; }
    std::span<std::byte> slot(uint16_t number) const {
        return {memory_.get() + number * stride, frame_bytes_max};
    }

    bool empty() const { return first_ == end_; }
    Frame front() const { return frames_[first_]; }
    void push(Frame frame) { frames_[end_++] = frame; }
    void pop() {
        if (++first_ == end_) {
            clear();
        }
    }
    void clear() { first_ = end_ = 0; }

private:
    static constexpr size_t memory_bytes = reads_per_turn_max * stride;

    std::unique_ptr<std::byte[]> memory_;
    std::array<Frame, reads_per_turn_max> frames_{};
    unsigned first_ = 0;
    unsigned end_ = 0; // No frame is pushed while an earlier turn's is held.
};

} // namespace tapline
