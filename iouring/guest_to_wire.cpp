#include "iouring/guest_to_wire.h"

#include "iouring/held_frames.h"

#include <linux/if_ether.h>

#include <algorithm>

namespace tapline {
namespace {

// A turn of long chains takes fewer of them rather than more memory.
constexpr size_t parts_max = 2 * vhost::chain_parts_max;

} // namespace

GuestToWire::GuestToWire(vhost::Virtqueue& queue, size_t header_bytes, Fate fate,
                         DirectionCounters& counters)
    : queue_(queue),
      counters_(counters),
      header_bytes_(header_bytes),
      fate_(fate),
      parts_(parts_max) {}

unsigned GuestToWire::collect(Ring& ring) noexcept {
    parts_.clear();
    batch_size_ = 0;
    frames_sent_ = 0;
    bytes_sent_ = 0;
    while (batch_size_ < frames_per_turn_max && parts_.room() >= vhost::chain_parts_max) {
        const auto slot = static_cast<uint16_t>(batch_size_);
        vhost::Chain& chain = batch_[slot];
        if (!queue_.peek(parts_, chain)) {
            break;
        }
        ++batch_size_;
        if (may_send(chain)) {
            ring.write_tap(chain.readable, slot);
            ++frames_sent_;
            bytes_sent_ += chain.readable_bytes - header_bytes_;
        }
    }
    return batch_size_;
}

bool GuestToWire::may_send(const vhost::Chain& chain) noexcept {
    if (fate_ == Fate::discard) {
        counters_.drop(Drop::disabled);
        return false;
    }
    if (!chain.writable.empty()) {
        counters_.drop(Drop::not_readable);
        return false;
    }
    if (chain.readable_bytes < header_bytes_ + ETH_HLEN) {
        counters_.drop(Drop::too_short);
        return false;
    }
    if (chain.readable_bytes > frame_bytes_max) {
        counters_.drop(Drop::too_long);
        return false;
    }
    return true;
}

void GuestToWire::refused(uint16_t slot) noexcept {
    counters_.drop(Drop::refused_by_tap);
    --frames_sent_;
    bytes_sent_ -= batch_[slot].readable_bytes - header_bytes_;
}

bool GuestToWire::publish() noexcept {
    for (unsigned slot = 0; slot < batch_size_; ++slot) {
        queue_.complete(batch_[slot], 0);
    }
    counters_.frames.add(frames_sent_);
    counters_.bytes.add(bytes_sent_);
    return queue_.publish();
}

} // namespace tapline
