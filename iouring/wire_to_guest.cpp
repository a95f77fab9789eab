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
constexpr uint16_t small_again_after = 16;                // Turns.
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
    // They came first. publish() places them and has looked at every chain there is: to begin anew
    // here would make those look like news.
    if (!held_.empty()) {
        return 0;
    }
    if (limit_ != nullptr && !limit_reads()) {
        return 0;
    }
    const unsigned count = std::min<unsigned>(reads_wanted_, reads_allowed_);
    if (large_) {
        begin_turn();
        offer_chains(ring, count);
        return read_count_ + put_back_;
    }
    read_count_ = static_cast<uint16_t>(queue_.available(count));
    ring.read_tap_slots(read_count_);
    return read_count_;
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
        if (large_) {
            copy_from_parts(reads_[slot].parts, copy);
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

bool WireToGuest::holds_frames(const vhost::Chain& chain) const noexcept {
    return chain.readable.empty() && chain.writable.size() < read_parts_max &&
           chain.writable_bytes >= format_.header_bytes;
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
        if (holds_frames(chain)) {
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

// Puts together the chains that hold so many bytes, as far as the ring has them.
WireToGuest::Group WireToGuest::gather(size_t first, size_t bytes) noexcept {
    const size_t chains_max = format_.mergeable ? queue_.size() : 1;
    Group group{.first = first, .count = 0, .room = 0};
    while (group.room < bytes && group.count < chains_max) {
        const size_t next = first + group.count;
        if (next == chains_.size() && !look_at_next_chain()) {
            break;
        }
        group.room += chains_[next].writable_bytes;
        ++group.count;
    }
    return group;
}

std::span<const vhost::Chain> WireToGuest::chains_of(const Group& group) const noexcept {
    return std::span(chains_).subspan(group.first, group.count);
}

// Each read gets chains for a frame as long as the last ones were.
void WireToGuest::offer_chains(Ring& ring, unsigned count) noexcept {
    bool enough = true;
    for (size_t next = 0; enough && read_count_ < count;) {
        const Group group = gather(next, expected_bytes_);
        enough = group.room >= expected_bytes_ || !format_.mergeable;
        if (group.count == 0 || (read_count_ > 0 && !enough)) {
            return;
        }
        queue_read(ring, group);
        next += group.count;
    }
}

// The last chains looked at: their parts are the end of parts_. Behind them comes room of ours for
// a longer frame; where that makes too many parts for one read, all of its room is ours.
void WireToGuest::queue_read(Ring& ring, Group group) noexcept {
    size_t begin =
        static_cast<size_t>(chains_[group.first].writable.data() - parts_.from(0).data());
    if (parts_.size() - begin >= read_parts_max) {
        begin = parts_.size();
        group.room = 0;
    }
    if (group.room < frame_bytes_max) {
        const auto rest = held_.slot(read_count_).subspan(group.room);
        parts_.begin_run();
        parts_.append(rest.data(), rest.size());
    }
    reads_[read_count_] = {.group = group, .parts = parts_.from(begin)};
    ring.read_tap(parts_.from(begin), read_count_);
    ++read_count_;
}

bool WireToGuest::publish() noexcept {
    frames_given_ = 0;
    bytes_given_ = 0;
    tap_is_empty_ = false;
    if (read_count_ > 0) {
        if (limit_ != nullptr) {
            charge_reads();
        }
        misplaced_ = false;
        learn(large_ ? place_reads() : copy_to_chains());
        read_count_ = 0;
    } else if (!held_.empty()) {
        begin_turn();
    }
    while (!held_.empty() && place_held()) {
        held_.pop();
    }
    counters_.frames.add(frames_given_);
    counters_.bytes.add(bytes_given_);
    return queue_.publish();
}

void WireToGuest::Brought::add(int32_t result) noexcept {
    frames += result > 0 ? 1 : 0;
    longest = std::max(longest, static_cast<uint32_t>(std::max(result, 0)));
}

// Small frames, from their slots, each to one chain. From the first on whose read brought none or
// whose chain is an unusual one they are held, and placed one by one.
WireToGuest::Brought WireToGuest::copy_to_chains() noexcept {
    std::array<vhost::Delivery, reads_per_turn_max> deliveries;
    const size_t reads = read_count_;
    size_t count = 0;
    for (; count < reads && has_frame(results_[count], frame_bytes_max); ++count) {
        deliveries[count].bytes = static_cast<uint32_t>(results_[count]);
    }
    const size_t placed = queue_.place(std::span(deliveries).first(count));
    Brought all{.frames = static_cast<unsigned>(placed)};
    std::byte* frame = held_.slot(0).data();
    const Format format = format_;
    size_t bytes = 0;
    for (const auto [length, place] : std::span(deliveries).first(placed)) {
        set_num_buffers(format, frame, 1);
        std::memcpy(place, frame, length);
        frame += HeldFrames::stride;
        bytes += length;
        all.longest = std::max(all.longest, length);
    }
    frames_given_ += placed;
    bytes_given_ += bytes - placed * format_.header_bytes;
    for (auto slot = static_cast<uint16_t>(placed); slot < reads; ++slot) {
        all.add(results_[slot]);
        if (is_frame(results_[slot], frame_bytes_max)) {
            held_.push(held_.slot(slot).first(static_cast<size_t>(results_[slot])));
        }
    }
    if (!held_.empty()) {
        begin_turn();
    }
    return all;
}

// virtio 1.2, 5.1.6.4. The kernel leaves the field alone or zeroes it, by version.
void WireToGuest::set_num_buffers(const Format& format, std::byte* frame, size_t count) noexcept {
    if (format.header_bytes == header_with_num_buffers) {
        const Le16 num_buffers = static_cast<uint16_t>(count);
        std::memcpy(frame + num_buffers_offset, &num_buffers, sizeof num_buffers);
    }
}

void WireToGuest::count(size_t bytes) noexcept {
    ++frames_given_;
    bytes_given_ += bytes - format_.header_bytes;
}

// Large frames, of which most came to their chains.
WireToGuest::Brought WireToGuest::place_reads() noexcept {
    Brought all;
    for (uint16_t slot = 0; slot < read_count_; ++slot) {
        all.add(results_[slot]);
        if (is_frame(results_[slot], std::max(reads_[slot].group.room, frame_bytes_max))) {
            place(reads_[slot], slot, static_cast<size_t>(results_[slot]));
        }
    }
    return all;
}

// Stays where it came to if those chains are the next ones and hold it.
void WireToGuest::place(const Read& read, uint16_t slot, size_t bytes) noexcept {
    if (held_.empty() && read.group.first == chains_done_ && bytes <= read.group.room) {
        give(gather(chains_done_, bytes), bytes);
        return;
    }
    misplaced_ = true;
    if (bytes > frame_bytes_max) {
        counters_.drop(Drop::too_big_for_guest);
        return;
    }
    const size_t in_chains = std::min(bytes, read.group.room); // The rest came to the slot.
    const auto frame = held_.slot(slot).first(bytes);
    copy_from_parts(read.parts, frame.first(in_chains));
    held_.push(frame);
}

// A whole one: what fills the room may have been longer still.
bool WireToGuest::has_frame(int32_t result, size_t room) const noexcept {
    const size_t least = format_.header_bytes;
    return static_cast<size_t>(result) - least < room - least; // What is negative wraps around.
}

bool WireToGuest::is_frame(int32_t result, size_t room) noexcept {
    if (has_frame(result, room)) {
        return true;
    }
    const bool has_header = result >= static_cast<int32_t>(format_.header_bytes);
    tap_is_empty_ = tap_is_empty_ || !has_header;
    if (has_header) {
        counters_.drop(Drop::too_big_for_guest);
    } else if (result != -EAGAIN) {
        counters_.drop(Drop::failed_read);
    }
    return false;
}

// The first held frame, into as many of the ring's next chains as it needs. True: it is dealt
// with. False: it waits for more chains.
bool WireToGuest::place_held() noexcept {
    std::span<const std::byte> rest = held_.front();
    const size_t bytes = rest.size();
    const Group group = gather(chains_done_, bytes);
    if (group.room < bytes) {
        const size_t chains_max = format_.mergeable ? queue_.size() : 1;
        if (group.count == chains_max) {
            counters_.drop(Drop::too_big_for_guest);
        }
        return group.count == chains_max;
    }
    for (const vhost::Chain& chain : chains_of(group)) {
        rest = copy_to_parts(rest, chain.writable);
    }
    give(group, bytes);
    return true;
}

// The group's chains hold the frame.
void WireToGuest::give(const Group& group, size_t bytes) noexcept {
    count(bytes);
    if (format_.header_bytes == header_with_num_buffers) {
        const Le16 num_buffers = static_cast<uint16_t>(group.count);
        copy_to_parts(std::as_bytes(std::span(&num_buffers, 1)), chains_[group.first].writable,
                      num_buffers_offset);
    }
    for (const vhost::Chain& chain : chains_of(group)) {
        const size_t share = std::min(bytes, chain.writable_bytes);
        queue_.complete(chain, static_cast<uint32_t>(share));
        bytes -= share;
    }
    chains_done_ += group.count;
}

void WireToGuest::give_up_held() noexcept {
    counters_.drop(Drop::too_big_for_guest);
    held_.pop();
}

void WireToGuest::learn(const Brought& brought) noexcept {
    if (brought.frames > 0) {
        const size_t longest = brought.longest;
        expected_bytes_ = std::max(longest, expected_bytes_ - expected_bytes_ / 16);
        small_in_a_row_ = longest > large_frame_bytes
                              ? uint16_t{0}
                              : static_cast<uint16_t>(small_in_a_row_ + (large_ ? 1 : 0));
        large_ = longest > large_frame_bytes || (large_ && small_in_a_row_ < small_again_after);
    }
    if (misplaced_) { // One at a time until lengths are alike.
        reads_wanted_ = 1;
    } else if (brought.frames == read_count_) {
        reads_wanted_ =
            static_cast<uint16_t>(std::min<unsigned>(2u * reads_wanted_, reads_per_turn_max));
    } else {
        reads_wanted_ = static_cast<uint16_t>(brought.frames + 1);
    }
}

} // namespace tapline
