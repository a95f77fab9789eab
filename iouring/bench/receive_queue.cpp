#include "iouring/bench/receive_queue.h"

#include "backend/base/byte_order.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cstring>

namespace tapline::bench {
namespace {

constexpr uint32_t small_buffer_bytes = 1536;
constexpr uint32_t page_buffer_bytes = 4096; // What Linux offers where frames are large.
constexpr uint16_t publish_after = 64;       // Buffers.
constexpr uint64_t look_at_each = 64;        // Frames.

} // namespace

size_t ReceiveQueue::ram_bytes(uint16_t ring_size) {
    return size_t{page_buffer_bytes} * ring_size;
}

ReceiveQueue::ReceiveQueue(DriverRing& ring, GuestRam& ram, const Mix& mix, int kick)
    : ring_(ring), kick_(kick), frame_(vnet_header_bytes + segment_bytes + page_buffer_bytes) {
    const uint32_t bytes = vnet_header_bytes + mix.largest() <= small_buffer_bytes
                               ? small_buffer_bytes
                               : page_buffer_bytes;
    for (uint16_t id = 0; id < ring.size(); ++id) {
        const DriverRing::Part part{.address = ram.allocate(bytes), .length = bytes};
        ring.define(id, {&part, 1}, DriverRing::Access::device_writes);
        buffers_.push_back(ram.at(part.address));
        ring.add(id);
    }
    ring.publish(); // The device looks before it sleeps for the first time.
}

unsigned ReceiveQueue::receive() noexcept {
    const uint64_t before = received_;
    DriverRing::Used used{};
    while (received_ - before < look_at_each && ring_.next_used(used)) {
        const std::byte* buffer = buffers_[used.id];
        if (buffers_to_come_ == 0) {
            begin_frame(buffer, used.length);
        }
        if (looks_) {
            std::memcpy(frame_.data() + std::min(frame_bytes_, frame_.size() - page_buffer_bytes),
                        buffer, std::min(used.length, page_buffer_bytes));
        }
        frame_bytes_ += used.length;
        if (--buffers_to_come_ == 0) {
            end_frame();
        }
        ring_.add(used.id);
        asked_for_call_ = false;
        if (++unpublished_ == publish_after) {
            give_back();
        }
    }
    if (received_ == before && !asked_for_call_) { // As Linux does: all work is done.
        if (unpublished_ > 0) {
            give_back();
        }
        asked_for_call_ = ring_.ask_for_call(1);
    }
    return static_cast<unsigned>(received_ - before);
}

void ReceiveQueue::begin_frame(const std::byte* buffer, uint32_t length) noexcept {
    VirtioNetHeader header{};
    std::memcpy(&header, buffer, sizeof header);
    const uint16_t buffers = header.num_buffers;
    const bool sensible =
        length >= sizeof header + frame_bytes_min && buffers > 0 && buffers <= ring_.size();
    malformed_ += sensible ? 0 : 1;
    buffers_to_come_ = sensible ? buffers : uint16_t{1};
    looks_ = sensible && received_ % look_at_each == 0;
    frame_bytes_ = 0;
}

void ReceiveQueue::end_frame() noexcept {
    ++received_;
    bytes_received_ += std::max(frame_bytes_, vnet_header_bytes) - vnet_header_bytes;
    if (looks_) {
        const auto frame = std::span(frame_).first(std::min(frame_bytes_, frame_.size()));
        inspector_.look_at(frame.subspan(vnet_header_bytes));
    }
}

void ReceiveQueue::give_back() noexcept {
    unpublished_ = 0;
    if (ring_.publish()) {
        eventfd_write(kick_, 1);
    }
}

} // namespace tapline::bench
