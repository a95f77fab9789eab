#include "iouring/wire_to_guest.h"

#include "backend/base/byte_order.h"
#include "iouring/iovec_copy.h"

#include <algorithm>
#include <cerrno>
#include <memory>

namespace tapline {
namespace {

// A turn's chains and the room behind each; long chains make for fewer reads.
constexpr size_t parts_max = 4 * vhost::chain_parts_max;
constexpr size_t read_parts_max = vhost::chain_parts_max; // UIO_MAXIOV
constexpr uint16_t small_again_after = 16;                // Frames.
constexpr size_t num_buffers_offset = 10;                 // In the virtio header.
constexpr size_t header_with_num_buffers = 12;

} // namespace

WireToGuest::WireToGuest(vhost::Virtqueue& queue, const Format& format, HeldFrames& held,
                         DirectionCounters& counters)
    : queue_(queue), held_(held), counters_(counters), format_(format), parts_(parts_max) {
    chains_.reserve(parts_max);
}

unsigned WireToGuest::offer(Ring& ring) noexcept {
    parts_.clear();
    chains_.clear();
    chains_done_ = 0;
    read_count_ = 0;
    put_back_ = 0;
    if (!held_.empty()) { // They came first; publish() places them.
        return 0;
    }
    queue_.rewind();
    if (large_) {
        offer_many_chains(ring);
    } else {
        offer_one_chain_each(ring);
    }
    return static_cast<unsigned>(read_count_) + put_back_;
}

// Adds the ring's next chain to chains_. One that can hold no frame goes back empty, in its turn.
bool WireToGuest::look_at_next_chain() noexcept {
    vhost::Chain chain;
    const size_t parts_before = parts_.size();
    while (put_back_ < frames_per_turn_max && parts_.room() > vhost::chain_parts_max &&
           queue_.peek(parts_, chain)) {
        if (chain.readable.empty() && chain.writable.size() < read_parts_max &&
            chain.writable_bytes >= format_.header_bytes) {
            chains_.push_back(chain);
            return true;
        }
        parts_.shrink(parts_before);
        if (!chains_.empty()) {
            return false;
        }
        counters_.drop(Drop::no_room_for_header);
        queue_.complete(chain, 0);
        ++put_back_;
    }
    return false;
}

void WireToGuest::offer_one_chain_each(Ring& ring) noexcept {
    while (read_count_ < reads_wanted_ && look_at_next_chain()) {
        queue_read(ring, static_cast<uint16_t>(chains_.size() - 1));
    }
}

void WireToGuest::offer_many_chains(Ring& ring) noexcept {
    size_t room = 0;
    size_t parts = 0;
    while (room < frame_bytes_max && look_at_next_chain()) {
        room += chains_.back().writable_bytes;
        parts += chains_.back().writable.size();
        if (parts >= read_parts_max) { // One too many, counting the held frame's room.
            parts_.shrink(parts_.size() - chains_.back().writable.size());
            chains_.pop_back();
            break;
        }
    }
    if (!chains_.empty()) {
        queue_read(ring, 0);
    }
}

void WireToGuest::queue_read(Ring& ring, uint16_t first_chain) noexcept {
    const std::span chains = std::span(chains_).subspan(first_chain);
    Read& read = reads_[read_count_];
    read = {
        .first_chain = first_chain,
        .chain_count = static_cast<uint16_t>(chains.size()),
        .parts = {chains.front().writable.data(), std::to_address(chains.back().writable.end())},
        .room = 0,
        .result = 0};
    for (const vhost::Chain& chain : chains) {
        read.room += chain.writable_bytes;
    }
    std::span<const iovec> with_spill = read.parts;
    if (read.room < frame_bytes_max) {
        const auto spill = held_.slot(read_count_).subspan(read.room);
        parts_.begin_run();
        parts_.append(spill.data(), spill.size());
        with_spill = {read.parts.data(), read.parts.size() + 1};
    }
    ring.read_tap(with_spill, read_count_);
    ++read_count_;
}

void WireToGuest::completed(uint16_t slot, int32_t result) noexcept {
    reads_[slot].result = result;
}

bool WireToGuest::publish() noexcept {
    gave_frames_ = false;
    tap_is_empty_ = false;
    for (uint16_t slot = 0; slot < read_count_; ++slot) {
        place(reads_[slot], slot);
    }
    if (read_count_ > 0) {
        learn();
        read_count_ = 0;
    }
    while (!held_.empty() && place_held()) {
        held_.pop();
    }
    return queue_.publish();
}

void WireToGuest::place(const Read& read, uint16_t slot) noexcept {
    if (read.result < static_cast<int32_t>(format_.header_bytes)) {
        tap_is_empty_ = true;
        if (read.result != -EAGAIN) {
            counters_.drop(Drop::failed_read);
        }
        return;
    }
    const auto bytes = static_cast<size_t>(read.result);
    if (bytes >= std::max(read.room, frame_bytes_max)) { // It may have been longer still.
        counters_.drop(Drop::too_big_for_guest);
        return;
    }
    if (held_.empty() && read.first_chain == chains_done_ && bytes <= read.room) {
        complete(std::span(chains_).subspan(read.first_chain, read.chain_count), bytes);
        return;
    }
    if (bytes > frame_bytes_max) {
        counters_.drop(Drop::too_big_for_guest);
        return;
    }
    copy_from_parts(read.parts, held_.slot(slot).first(std::min(bytes, read.room)));
    held_.push({.slot = slot, .bytes = bytes});
}

void WireToGuest::complete(std::span<const vhost::Chain> chains, size_t bytes) noexcept {
    gave_frames_ = true;
    counters_.frames.add(1);
    counters_.bytes.add(bytes - format_.header_bytes);
    uint16_t buffers = 0;
    const std::span<const iovec> first_parts = chains.front().writable;
    do {
        const vhost::Chain& chain = chains[buffers++];
        const size_t share = std::min(bytes, chain.writable_bytes);
        queue_.complete(chain, static_cast<uint32_t>(share));
        bytes -= share;
    } while (bytes > 0);
    chains_done_ = static_cast<uint16_t>(chains_done_ + buffers);
    if (format_.header_bytes == header_with_num_buffers) {
        // virtio 1.2, 5.1.6.4. The kernel leaves the field alone or zeroes it, by version.
        const Le16 num_buffers = buffers;
        copy_to_parts(std::as_bytes(std::span(&num_buffers, 1)), first_parts, num_buffers_offset);
    }
}

// The first held frame, into as many of the ring's next chains as it needs. True: it is dealt
// with. False: it waits for more chains.
bool WireToGuest::place_held() noexcept {
    parts_.clear();
    chains_.clear();
    chains_done_ = 0;
    queue_.rewind();
    const std::span<const std::byte> frame = held_.front_bytes();
    const size_t chains_max = format_.mergeable ? queue_.size() : 1;
    size_t room = 0;
    while (room < frame.size() && chains_.size() < chains_max && look_at_next_chain()) {
        room += chains_.back().writable_bytes;
    }
    if (room < frame.size()) {
        if (chains_.size() == chains_max) {
            counters_.drop(Drop::too_big_for_guest);
        }
        return chains_.size() == chains_max;
    }
    std::span<const std::byte> rest = frame;
    for (const vhost::Chain& chain : chains_) {
        rest = copy_to_parts(rest, chain.writable);
    }
    complete(chains_, frame.size());
    return true;
}

void WireToGuest::give_up_held() noexcept {
    counters_.drop(Drop::too_big_for_guest);
    held_.pop();
}

void WireToGuest::learn() noexcept {
    const auto reads = std::span(reads_).first(read_count_);
    const auto frames =
        std::ranges::count_if(reads, [](const Read& read) { return read.result > 0; });
    const bool outgrew = std::ranges::any_of(reads, [](const Read& read) {
        return read.result > 0 && static_cast<size_t>(read.result) > read.room;
    });
    if (large_) {
        const bool small = static_cast<size_t>(std::max(reads.front().result, 0)) <=
                           chains_.front().writable_bytes;
        small_in_a_row_ = small ? static_cast<uint16_t>(small_in_a_row_ + 1) : uint16_t{0};
        large_ = small_in_a_row_ < small_again_after;
        return;
    }
    large_ = outgrew && format_.mergeable;
    small_in_a_row_ = 0;
    reads_wanted_ =
        frames == read_count_
            ? static_cast<uint16_t>(std::min<unsigned>(2u * reads_wanted_, frames_per_turn_max))
            : static_cast<uint16_t>(frames + 1);
}

} // namespace tapline
