#include "iouring/bench/transmit_queue.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cstring>

namespace tapline::bench {
namespace {

// Of a segment: the headers are in the first part, as the guest's network stack lays them out, and
// the rest in pieces of the order in which Linux allocates a socket's pages.
constexpr uint32_t linear_bytes = 256;
constexpr uint32_t fragment_bytes = 32768;
constexpr size_t alignment = 64;

std::vector<DriverRing::Part> lay_out(GuestRam& ram, const std::vector<std::byte>& content) {
    const auto whole = static_cast<uint32_t>(content.size());
    std::vector<DriverRing::Part> parts;
    for (uint32_t done = 0; done < whole;) {
        const uint32_t piece = whole <= fragment_bytes ? whole
                               : done == 0             ? linear_bytes
                                                       : std::min(fragment_bytes, whole - done);
        const uint64_t address = ram.allocate(piece + alignment); // Never beside the last one.
        std::memcpy(ram.at(address), content.data() + done, piece);
        parts.push_back({.address = address, .length = piece});
        done += piece;
    }
    return parts;
}

} // namespace

size_t TransmitQueue::ram_bytes(uint16_t ring_size, const Mix& mix) {
    return ring_size * (mix.largest() + 4096);
}

TransmitQueue::TransmitQueue(DriverRing& ring, GuestRam& ram, const Mix& mix, const Path& path,
                             uint16_t flow, int kick)
    : ring_(ring), kick_(kick), free_count_(ring.size()) {
    for (uint16_t id = 0; id < ring.size(); ++id) {
        const size_t bytes = mix.sizes[id % mix.sizes.size()];
        const VirtioNetHeader header = vnet_header_of(bytes);
        std::vector<std::byte> content = make_frame(bytes, path, flow);
        const auto* head = static_cast<const std::byte*>(static_cast<const void*>(&header));
        content.insert(content.begin(), head, head + sizeof header);
        const auto parts = lay_out(ram, content);
        ring.define(id, parts, DriverRing::Access::device_reads);
        frames_.push_back(ram.at(parts.front().address) + vnet_header_bytes);
        frame_bytes_.push_back(static_cast<uint32_t>(bytes));
        free_.push_back(id);
    }
}

void TransmitQueue::reclaim() noexcept {
    DriverRing::Used used{};
    while (free_count_ < free_.size() && ring_.next_used(used)) {
        free_[static_cast<uint16_t>(free_begin_ + free_count_) % free_.size()] = used.id;
        ++free_count_;
    }
}

unsigned TransmitQueue::send(unsigned max) noexcept {
    reclaim();
    const unsigned count = std::min<unsigned>(max, free_count_);
    for (unsigned i = 0; i < count; ++i) {
        const uint16_t id = free_[free_begin_];
        free_begin_ = static_cast<uint16_t>((free_begin_ + 1U) % free_.size());
        set_number(frames_[id], static_cast<uint32_t>(sent_++));
        bytes_sent_ += frame_bytes_[id];
        ring_.add(id);
    }
    free_count_ = static_cast<uint16_t>(free_count_ - count);
    if (count > 0 && ring_.publish()) {
        ++kicks_;
        eventfd_write(kick_, 1);
    }
    if (free_count_ == 0) {
        // As Linux does: a call once three quarters have gone.
        if (count > 0) {
            ++times_full_;
            (void)ring_.ask_for_call(static_cast<uint16_t>(ring_.size() / 4 * 3));
        }
    }
    return count;
}

bool TransmitQueue::is_empty() noexcept {
    reclaim();
    return free_count_ == ring_.size();
}

} // namespace tapline::bench
