#include "iouring/wire_to_guest.h"

#include "backend/base/byte_order.h"
#include "iouring/iovec_copy.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace tapline {
namespace {

// A turn's chains and the room behind them; long chains make for fewer reads.
constexpr size_t parts_max = 4 * vhost::chain_parts_max;
constexpr size_t read_parts_max = vhost::chain_parts_max; // UIO_MAXIOV
constexpr size_t large_frame_bytes = 3000;                // From here on a copy costs more.
constexpr uint16_t small_again_after = 16;                // Frames.
constexpr size_t num_buffers_offset = 10;                 // In the virtio header.
constexpr size_t header_with_num_buffers = 12;

} // namespace

WireToGuest::WireToGuest(vhost::Virtqueue& queue, const Format& format, HeldFrames& held,
                         DirectionCounters& counters, RateLimit* limit)
    : queue_(queue),
      held_(held),
      counters_(counters),
      format_(format),
      limit_(limit),
      parts_(parts_max) {
    chains_.reserve(parts_max);
}

void WireToGuest::begin_turn() noexcept {
    queue_.rewind();
    parts_.clear();
    chains_.clear();
    chains_done_ = 0;
    blocked_ = false;
    put_back_ = 0;
}

unsigned WireToGuest::offer(Ring& ring) noexcept {
    begin_turn();
    if (!held_.empty()) { // They came first; publish() places them.
        return 0;
    }
    if (limit_ != nullptr && !limit_reads()) {
        return 0;
    }
    if (large_) {
        offer_many_chains(ring);
    } else {
        const unsigned count = std::min<unsigned>(reads_wanted_, reads_allowed_);
        while (read_count_ < count && look_at_next_chain()) {
            ring.read_tap_whole(held_.slot(read_count_), read_count_);
            ++read_count_;
        }
    }
    return read_count_ + put_back_;
}

// False: none may be read yet.
bool WireToGuest::limit_reads() noexcept {
    const auto now = RateLimit::now();
    reads_allowed_ = limit_->frames_to_read(reads_per_turn_max, now);
    if (reads_allowed_ > 0) {
        wait_.reset();
    } else {
        wait_ = limit_->wait({.bytes = 1, .frames = 1}, now);
    }
    return reads_allowed_ > 0;
}

// What was read has left the wire, whatever becomes of it. A header that lies in guest memory can
// be rewritten before this look: then the guest gets more segments in one, but no byte more.
void WireToGuest::charge_reads() noexcept {
    RateLimit::Load all{};
    for (uint16_t slot = 0; slot < read_count_; ++slot) {
        if (results_[slot] < static_cast<int32_t>(format_.header_bytes)) {
            continue;
        }
        std::array<std::byte, sizeof(VirtioNetHeader)> copy;
        std::span<const std::byte> header = held_.slot(slot);
        if (direct_) {
            copy_from_parts(parts_found(), copy);
            header = copy;
        }
        const auto load =
            RateLimit::Load::of(VirtioNetHeader::from(header),
                                static_cast<size_t>(results_[slot]) - format_.header_bytes);
        all.bytes += load.bytes;
        all.frames += load.frames;
    }
    limit_->charge(all, RateLimit::now());
}

// Adds the ring's next chain to chains_. One that can hold no frame goes back empty, in its turn.
bool WireToGuest::look_at_next_chain() noexcept {
    while (!blocked_ && put_back_ < frames_per_turn_max && parts_.room() > vhost::chain_parts_max) {
        const size_t parts_before = parts_.size();
        vhost::Chain& chain = chains_.emplace_back();
        if (!queue_.peek(parts_, chain)) {
            chains_.pop_back();
            return false;
        }
        if (chain.readable.empty() && chain.writable.size() < read_parts_max &&
            chain.writable_bytes >= format_.header_bytes) {
            return true;
        }
        const vhost::Chain bad = chain;
        chains_.pop_back();
        parts_.shrink(parts_before);
        blocked_ = chains_done_ < chains_.size();
        if (!blocked_) {
            counters_.drop(Drop::no_room_for_header);
            queue_.complete(bad, 0);
            ++put_back_;
        }
    }
    return false;
}

// Counts together the chains a frame of so many bytes needs. False: the ring has not so many.
bool WireToGuest::find_room(size_t bytes) noexcept {
    const size_t chains_max = format_.mergeable ? queue_.size() : 1;
    found_ = 0;
    room_ = 0;
    while (room_ < bytes && found_ < chains_max) {
        const size_t next = chains_done_ + found_;
        if (next == chains_.size() && !look_at_next_chain()) {
            return false;
        }
        room_ += chains_[next].writable_bytes;
        ++found_;
    }
    return true;
}

void WireToGuest::offer_many_chains(Ring& ring) noexcept {
    find_room(frame_bytes_max);
    while (found_ > 0 && parts_found().size() >= read_parts_max) { // One more is for the rest.
        room_ -= chains_[--found_].writable_bytes;
    }
    if (found_ == 0) {
        return;
    }
    std::span<const iovec> parts = parts_found();
    if (room_ < frame_bytes_max) {
        const auto rest = held_.slot(0).subspan(room_);
        parts_.begin_run();
        parts_.append(rest.data(), rest.size());
        parts = {parts.data(), parts.size() + 1};
    }
    ring.read_tap(parts, 0);
    read_count_ = 1;
    direct_ = true;
}

std::span<const iovec> WireToGuest::parts_found() const noexcept {
    const vhost::Chain& first = chains_[chains_done_];
    const vhost::Chain& last = chains_[chains_done_ + found_ - 1];
    return {first.writable.data(), std::to_address(last.writable.end())};
}

void WireToGuest::completed(uint16_t slot, int32_t result) noexcept {
    results_[slot] = result;
}

bool WireToGuest::publish() noexcept {
    gave_frames_ = false;
    tap_is_empty_ = false;
    if (read_count_ > 0) {
        if (limit_ != nullptr) {
            charge_reads();
        }
        if (direct_) {
            place_direct();
        } else {
            hold_all();
        }
        learn();
        read_count_ = 0;
        direct_ = false;
    } else if (!held_.empty()) {
        begin_turn();
    }
    while (!held_.empty() && place_held()) {
        held_.pop();
    }
    return queue_.publish();
}

void WireToGuest::hold_all() noexcept {
    for (uint16_t slot = 0; slot < read_count_; ++slot) {
        if (is_frame(results_[slot], frame_bytes_max)) {
            held_.push({.slot = slot, .bytes = static_cast<size_t>(results_[slot])});
        }
    }
}

bool WireToGuest::is_frame(int32_t result, size_t room) noexcept {
    if (result < static_cast<int32_t>(format_.header_bytes)) {
        tap_is_empty_ = true;
        if (result != -EAGAIN) {
            counters_.drop(Drop::failed_read);
        }
        return false;
    }
    if (static_cast<size_t>(result) >= room) { // It may have been longer still.
        counters_.drop(Drop::too_big_for_guest);
        return false;
    }
    return true;
}

// The first held frame, into as many of the ring's next chains as it needs. True: it is dealt
// with. False: it waits for more chains.
bool WireToGuest::place_held() noexcept {
    const HeldFrames::Frame& frame = held_.front();
    const std::span<std::byte> bytes = held_.slot(frame.slot).first(frame.bytes);
    if (!find_room(bytes.size())) {
        return false;
    }
    if (room_ < bytes.size()) {
        counters_.drop(Drop::too_big_for_guest);
        return true;
    }
    if (format_.header_bytes == header_with_num_buffers) {
        const Le16 num_buffers = static_cast<uint16_t>(found_);
        std::memcpy(bytes.data() + num_buffers_offset, &num_buffers, sizeof num_buffers);
    }
    copy_to_parts(bytes, parts_found());
    complete(bytes.size());
    return true;
}

void WireToGuest::place_direct() noexcept {
    const size_t offered = room_;
    if (!is_frame(results_[0], std::max(offered, frame_bytes_max))) {
        return;
    }
    const auto bytes = static_cast<size_t>(results_[0]);
    if (bytes > offered) { // What it lacks came to the slot.
        copy_from_parts(parts_found(), held_.slot(0).first(offered));
        held_.push({.slot = 0, .bytes = bytes});
        return;
    }
    find_room(bytes);
    if (format_.header_bytes == header_with_num_buffers) {
        const Le16 num_buffers = static_cast<uint16_t>(found_);
        copy_to_parts(std::as_bytes(std::span(&num_buffers, 1)), parts_found(), num_buffers_offset);
    }
    complete(bytes);
}

void WireToGuest::complete(size_t bytes) noexcept {
    gave_frames_ = true;
    counters_.frames.add(1);
    counters_.bytes.add(bytes - format_.header_bytes);
    for (const size_t end = chains_done_ + found_; chains_done_ < end; ++chains_done_) {
        const vhost::Chain& chain = chains_[chains_done_];
        const size_t share = std::min(bytes, chain.writable_bytes);
        queue_.complete(chain, static_cast<uint32_t>(share));
        bytes -= share;
    }
}

void WireToGuest::give_up_held() noexcept {
    counters_.drop(Drop::too_big_for_guest);
    held_.pop();
}

void WireToGuest::learn() noexcept {
    const auto results = std::span(results_).first(read_count_);
    const auto is_large = [](int32_t result) {
        return result > static_cast<int32_t>(large_frame_bytes);
    };
    const auto frames = std::ranges::count_if(results, [](int32_t result) { return result > 0; });
    if (large_ && frames > 0) {
        small_in_a_row_ =
            is_large(results.front()) ? uint16_t{0} : static_cast<uint16_t>(small_in_a_row_ + 1);
        large_ = small_in_a_row_ < small_again_after;
    }
    if (large_) {
        return;
    }
    large_ = std::ranges::any_of(results, is_large);
    small_in_a_row_ = 0;
    reads_wanted_ =
        frames == read_count_
            ? static_cast<uint16_t>(std::min<unsigned>(2u * reads_wanted_, reads_per_turn_max))
            : static_cast<uint16_t>(frames + 1);
}

} // namespace tapline
