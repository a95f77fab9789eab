#include "iouring/guest_to_wire.h"

#include "iouring/held_frames.h"

#include <linux/if_ether.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace tapline {
namespace {

// A turn of long chains takes fewer of them rather than more memory.
constexpr size_t parts_max = 2 * vhost::chain_parts_max;

} // namespace

GuestToWire::GuestToWire(vhost::Virtqueue& queue, size_t header_bytes, Fate fate,
                         DirectionCounters& counters, std::unique_ptr<SendGate> gate,
                         ExpressLane* express)
    : queue_(queue),
      counters_(counters),
      header_bytes_(header_bytes),
      fate_(fate),
      gate_(std::move(gate)),
      express_(express),
      parts_(parts_max) {}

unsigned GuestToWire::collect(Ring& ring, unsigned most) noexcept {
    parts_.clear();
    if (gate_) {
        gate_->begin_turn();
        queue_.rewind(); // To the frame that had to wait.
        take<true>(ring, most);
    } else {
        take<false>(ring, most);
    }
    return batch_size_;
}

inline bool GuestToWire::may_send(const vhost::Chain& chain) noexcept {
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

// All before this slot are in the lane. What it does not send is written.
void GuestToWire::send_express(Ring& ring, unsigned end) noexcept {
    const unsigned sent = express_->send();
    counters_.express_frames.add(sent);
    for (unsigned slot = sent; slot < end; ++slot) {
        ring.write_tap(express_frames_[slot], static_cast<uint16_t>(slot));
    }
}

template <bool gated> void GuestToWire::take(Ring& ring, unsigned most) noexcept {
    const std::span room = std::span(batch_).first(most);
    const std::span available = room.first(queue_.peek(parts_, room));
    unsigned slot = 0;
    uint64_t frames = 0;
    uint64_t bytes = 0; // With their headers.
    // The lane takes the first frames of a turn, up to one that is none for it: from there on all
    // are written, as changing back would need a system call to keep them in order.
    bool express = express_ != nullptr;
    for (const vhost::Chain& chain : available) {
        bool may_go = may_send(chain);
        std::span<const iovec> frame = chain.readable;
        if constexpr (gated) {
            if (may_go) {
                const auto verdict = gate_->look_at(frame, chain.readable_bytes);
                if (verdict.kind == SendGate::Verdict::Kind::wait) {
                    break;
                }
                if (verdict.kind == SendGate::Verdict::Kind::drop) {
                    counters_.drop(verdict.why);
                    may_go = false;
                }
                frame = verdict.parts;
            }
        }
        if (may_go) {
            ++frames;
            bytes += chain.readable_bytes;
        }
        if (express) {
            if (may_go && express_->add(frame, chain.readable_bytes, header_bytes_)) {
                express_frames_[slot++] = frame;
                continue;
            }
            send_express(ring, slot);
            express = false;
        }
        if (may_go) {
            ring.write_tap(frame, static_cast<uint16_t>(slot));
        }
        ++slot;
    }
    if (express) {
        send_express(ring, slot);
    }
    batch_size_ = slot;
    frames_sent_ = frames;
    bytes_sent_ = bytes - frames * header_bytes_;
}

// Not tried again: frames behind it in the batch may have gone, and it would overtake them.
void GuestToWire::refused(uint16_t slot, int32_t result) noexcept {
    const bool busy = result == -EAGAIN || result == -ENOBUFS || result == -ENOMEM;
    counters_.drop(busy ? Drop::tap_busy : Drop::refused_by_tap);
    --frames_sent_;
    bytes_sent_ -= batch_[slot].readable_bytes - header_bytes_;
}

bool GuestToWire::publish() noexcept {
    queue_.complete_unwritten(std::span(batch_).first(batch_size_));
    counters_.frames.add(frames_sent_);
    counters_.bytes.add(bytes_sent_);
    return queue_.publish();
}

} // namespace tapline
