#include "vhost/packed_virtqueue.h"

#include "vhost/chain_walk.h"
#include "vhost/protocol_error.h"
#include "vhost/ring_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

namespace tapline::vhost {
namespace {

// Of descriptors
constexpr uint16_t has_next = 1;
constexpr uint16_t is_writable = 2; // In a used one: something was written.
constexpr uint16_t is_indirect = 4;
constexpr uint16_t available_bit = 1 << 7;
constexpr uint16_t used_bit = 1 << 15;
constexpr size_t indirect_entries_max = 65536; // As many as a split ring's.

// Of event suppression
constexpr uint16_t wants_all = 0;
constexpr uint16_t wants_none = 1;
constexpr uint16_t wants_position = 2;
constexpr uint16_t wish_mask = 3;

constexpr unsigned wrap_shift = 15;
constexpr uint32_t first_lap = 1u << wrap_shift; // 2.8.1: wrap counters begin as 1.

// 2.8.1: of a descriptor in a lap with this wrap counter, while it is available and once it is
// used.
constexpr uint16_t available_flags(bool wrap) {
    return wrap ? available_bit : used_bit;
}
constexpr uint16_t used_flags(bool wrap) {
    return static_cast<uint16_t>(wrap * (available_bit | used_bit));
}

} // namespace

PackedVirtqueue::Position PackedVirtqueue::Position::unpack(uint16_t packed) {
    return {.index = static_cast<uint16_t>(packed & ~first_lap), .wrap = packed >> wrap_shift != 0};
}

uint16_t PackedVirtqueue::Position::pack() const {
    return static_cast<uint16_t>(index | (wrap ? first_lap : 0));
}

PackedVirtqueue::PackedVirtqueue(const Vring& vring, std::shared_ptr<const GuestMemory> memory,
                                 uint64_t features, const Iotlb* iotlb)
    : Virtqueue(vring, std::move(memory), features, iotlb),
      place_(find_ring(addresses_.memory(), iotlb, ring_parts(vring, features))) {
    const auto [ring, driver_event, device_event] = place_.parts;
    ring_ = reinterpret_cast<Descriptor*>(ring);
    driver_event_ = reinterpret_cast<const EventSuppression*>(driver_event);
    device_event_ = reinterpret_cast<EventSuppression*>(device_event);
    // Front ends tell where to log a used ring, of which a packed queue has none.
    for (const size_t written : {0, 2}) {
        std::ranges::copy(place_.guest_ranges[written], std::back_inserter(written_parts_));
    }
    next_ = cursor_ = published_ = first_position(vring.base);
}

// Some front ends, libkrun for one, let every ring begin at 0, wrap counter and all. In a lap with
// counter 0 the lap before has left marks of use in the ring: without any it is the first one.
PackedVirtqueue::Position
PackedVirtqueue::first_position(const std::optional<uint32_t>& base) const {
    const auto position = Position::unpack(static_cast<uint16_t>(base.value_or(first_lap)));
    if (position.index >= size_) {
        throw ProtocolError(ProtocolFault::ring_index,
                            fmt::format("base {} of a ring of {}", position.index, size_));
    }
    const auto was_used = [](const Descriptor& slot) {
        return (load_index(slot.flags, std::memory_order_relaxed) & used_bit) != 0;
    };
    if (position.index == 0 && !position.wrap &&
        std::ranges::none_of(std::span(ring_, size_), was_used)) {
        return Position::unpack(first_lap);
    }
    return position;
}

PackedVirtqueue::Position PackedVirtqueue::advanced(Position from, uint16_t slots) const noexcept {
    const unsigned index = unsigned{from.index} + slots;
    if (index < size_) {
        return {.index = static_cast<uint16_t>(index), .wrap = from.wrap};
    }
    return {.index = static_cast<uint16_t>(index - size_), .wrap = !from.wrap};
}

// 2.8.1. Pairs with the driver's write barrier between a chain and the flags of its head.
bool PackedVirtqueue::is_available(Position at) const noexcept {
    const uint16_t flags = load_index(ring_[at.index].flags, std::memory_order_acquire);
    return (flags & (available_bit | used_bit)) == available_flags(at.wrap);
}

inline bool PackedVirtqueue::next_chain(IovecList& parts, Chain& chain) noexcept {
    if (halted_ || peeked_ == size_ || !is_available(cursor_)) {
        return false;
    }
    const Descriptor head = load(&ring_[cursor_.index]);
    const uint16_t flags = Le16::from_stored(head.flags);
    if ((flags & (has_next | is_indirect)) == 0 &&
        take_single(addresses_.last(), head.address, head.length, (flags & is_writable) != 0,
                    parts.end(), chain)) {
        parts.end_at(parts.end() + 1);
        chain.id = head.id;
    } else if (!follow(head, parts, chain)) {
        return false;
    }
    cursor_ = advanced(cursor_, chain.slots);
    peeked_ = static_cast<uint16_t>(peeked_ + chain.slots);
    return true;
}

bool PackedVirtqueue::peek(IovecList& parts, Chain& chain) noexcept {
    assert(parts.room() >= chain_parts_max);
    return next_chain(parts, chain);
}

size_t PackedVirtqueue::peek(IovecList& parts, std::span<Chain> chains) noexcept {
    size_t count = 0;
    while (count < chains.size() && parts.room() >= chain_parts_max &&
           next_chain(parts, chains[count])) {
        ++count;
        if (peeked_ < size_ && is_available(cursor_)) {
            count += peek_singles(parts, chains.subspan(count));
        }
    }
    return count;
}

// What most chains are that are sent. Each load is a barrier to the compiler, so members are copied
// first.
size_t PackedVirtqueue::peek_singles(IovecList& parts, std::span<Chain> chains) noexcept {
    const Descriptor* const ring = ring_;
    const unsigned size = size_;
    unsigned index = cursor_.index;
    uint16_t wanted = available_flags(cursor_.wrap);
    ReadableSingles singles(addresses_.last(), parts,
                            chains.first(std::min<size_t>(chains.size(), size_ - peeked_)));
    while (!singles.full() && load_index(ring[index].flags, std::memory_order_acquire) == wanted) {
        const Descriptor head = load(&ring[index]);
        if (!singles.take(head.address, head.length, head.id)) {
            break;
        }
        if (++index == size) {
            index = 0;
            wanted ^= available_bit | used_bit;
        }
    }
    const auto count = static_cast<uint16_t>(singles.count());
    cursor_ = advanced(cursor_, count);
    peeked_ = static_cast<uint16_t>(peeked_ + count);
    return count;
}

// Of a chain the slots behind the head may look available, too: there it ends.
size_t PackedVirtqueue::available(size_t max) noexcept {
    max = halted_ ? 0 : std::min<size_t>(max, size_);
    Position at = next_;
    size_t count = 0;
    while (count < max) { // Once, and again behind the end of the ring.
        const std::span run(ring_ + at.index, std::min<size_t>(max - count, size_ - at.index));
        const uint16_t wanted = available_flags(at.wrap);
        const auto end = std::ranges::find_if_not(run, [wanted](const Descriptor& descriptor) {
            const uint16_t flags = load_index(descriptor.flags, std::memory_order_acquire);
            return (flags & (available_bit | used_bit | has_next)) == wanted;
        });
        const auto singles = static_cast<uint16_t>(end - run.begin());
        at = advanced(at, singles);
        count += singles;
        if (end != run.end()) {
            return count + (is_available(at) ? 1 : 0);
        }
    }
    return count;
}

size_t PackedVirtqueue::place(std::span<Delivery> deliveries) noexcept {
    rewind();
    deliveries = deliveries.first(log_ || halted_ ? 0 : std::min<size_t>(deliveries.size(), size_));
    size_t count = 0;
    while (count < deliveries.size()) { // Once, and again behind the end of the ring.
        const size_t run = std::min<size_t>(deliveries.size() - count, size_ - next_.index);
        const size_t placed = place_run(deliveries.subspan(count, run));
        next_ = advanced(next_, static_cast<uint16_t>(placed));
        unpublished_ = static_cast<uint16_t>(unpublished_ + placed);
        count += placed;
        if (placed < run) {
            break;
        }
    }
    cursor_ = next_;
    return count;
}

// Up to the end of the ring at most. The id of a chain of one stays where it is. By itself, as
// within place() its values would not fit the registers.
[[gnu::noinline]] size_t PackedVirtqueue::place_run(std::span<Delivery> deliveries) noexcept {
    const GuestMemory::Window last = addresses_.last();
    const uint16_t wanted = available_flags(next_.wrap) | is_writable;
    const uint16_t given = used_flags(next_.wrap) | is_writable;
    Descriptor* const ring = ring_ + next_.index;
    const size_t shown_later = unpublished_ == 0 ? 0 : deliveries.size();
    size_t count = 0;
    for (; count < deliveries.size(); ++count) {
        Descriptor& descriptor = ring[count];
        if (load_index(descriptor.flags, std::memory_order_acquire) != wanted) {
            break;
        }
        Delivery& delivery = deliveries[count];
        const uint64_t offset = load_field(descriptor.address) - last.address;
        const uint32_t length = load_field(descriptor.length);
        const uint32_t bytes = delivery.bytes;
        if (length < bytes || !last.has_room(offset, length)) {
            break;
        }
        delivery.place = last.host + offset;
        store_field(descriptor.length, bytes);
        if (count != shown_later) {
            store_index(descriptor.flags, given, std::memory_order_release);
        }
    }
    if (shown_later < count) {
        first_flags_ = given;
    }
    return count;
}

bool PackedVirtqueue::follow(Descriptor first, IovecList& parts, Chain& chain) noexcept {
    ChainWalk walk(addresses_, parts);
    Descriptor descriptor = first;
    Position at = cursor_;
    uint16_t slots = 0;
    while (true) {
        if (const RingFault fault = append(walk, descriptor); fault != RingFault::none) {
            walk.undo();
            return breaks(fault);
        }
        ++slots;
        if ((Le16::from_stored(descriptor.flags) & has_next) == 0) {
            break;
        }
        if (peeked_ + slots == size_) {
            walk.undo();
            return breaks(RingFault::chain_too_long);
        }
        at = advanced(at, 1);
        descriptor = load(&ring_[at.index]);
    }
    if (!walk.complete()) {
        walk.undo();
        return awaits_another_table();
    }
    walk.finish(slots, chain);
    chain.id = descriptor.id; // 2.8.6: only the last one's counts.
    return true;
}

RingFault PackedVirtqueue::append(ChainWalk& walk, const Descriptor& descriptor) noexcept {
    const uint16_t flags = Le16::from_stored(descriptor.flags);
    if ((flags & is_indirect) == 0) {
        return walk.append(descriptor.address, descriptor.length, (flags & is_writable) != 0);
    }
    const bool allowed = indirect_ && (flags & has_next) == 0;
    return allowed ? follow_indirect(walk, descriptor) : RingFault::indirect_table;
}

// 2.8.7: the entries follow each other, and of their flags only the direction counts.
RingFault PackedVirtqueue::follow_indirect(ChainWalk& walk, const Descriptor& descriptor) noexcept {
    const uint32_t bytes = descriptor.length;
    const auto table = addresses_.table(descriptor.address, bytes);
    walk.note(table.found);
    if (table.found == DeviceAddresses::Found::not_yet) {
        return RingFault::none;
    }
    if (table.found == DeviceAddresses::Found::too_much) {
        return RingFault::chain_too_long;
    }
    if (table.bytes == nullptr || bytes == 0 || bytes % sizeof(Descriptor) != 0) {
        return RingFault::indirect_table;
    }
    const auto* entries = reinterpret_cast<const Descriptor*>(table.bytes);
    const size_t count = bytes / sizeof(Descriptor);
    if (count > indirect_entries_max) {
        return RingFault::chain_too_long;
    }
    for (size_t i = 0; i < count; ++i) {
        const Descriptor entry = load(&entries[i]);
        const uint16_t flags = Le16::from_stored(entry.flags);
        if ((flags & is_indirect) != 0) {
            return RingFault::indirect_table;
        }
        if (const RingFault fault =
                walk.append(entry.address, entry.length, (flags & is_writable) != 0);
            fault != RingFault::none) {
            return fault;
        }
    }
    return RingFault::none;
}

void PackedVirtqueue::rewind() noexcept {
    cursor_ = next_;
    peeked_ = 0;
}

// 2.8.6.1: one used descriptor a chain, at its first slot.
inline void PackedVirtqueue::give_back(Position at, uint16_t id, uint32_t written,
                                       bool first) noexcept {
    Descriptor& slot = ring_[at.index];
    slot.length = written;
    slot.id = id;
    const auto flags = static_cast<uint16_t>((written > 0 ? is_writable : 0) | used_flags(at.wrap));
    if (first) {
        first_flags_ = flags;
    } else {
        store_index(slot.flags, flags, std::memory_order_release);
    }
}

void PackedVirtqueue::complete(const Chain& chain, uint32_t written) noexcept {
    give_back(next_, chain.id, written, unpublished_ == 0);
    next_ = advanced(next_, chain.slots);
    peeked_ = static_cast<uint16_t>(peeked_ - chain.slots);
    unpublished_ = static_cast<uint16_t>(unpublished_ + chain.slots);
    if (log_) {
        log_chain(chain, written);
    }
}

void PackedVirtqueue::complete_unwritten(std::span<const Chain> chains) noexcept {
    Position next = next_;
    unsigned slots = 0;
    for (const Chain& chain : chains) {
        give_back(next, chain.id, 0, unpublished_ + slots == 0);
        next = advanced(next, chain.slots);
        slots += chain.slots;
    }
    next_ = next;
    peeked_ = static_cast<uint16_t>(peeked_ - slots);
    unpublished_ = static_cast<uint16_t>(unpublished_ + slots);
}

bool PackedVirtqueue::publish() noexcept {
    if (unpublished_ == 0) {
        return false;
    }
    const Position begin = std::exchange(published_, next_);
    const uint16_t moved = std::exchange(unpublished_, uint16_t{0});
    // The driver takes no descriptor before this one. Pairs with its read barrier.
    store_index(ring_[begin.index].flags, first_flags_, std::memory_order_release);
    if (log_) {
        log_ring();
    }
    // 2.8.21.3.1: the descriptors before the question whether to call; pairs with the driver's full
    // barrier between its wish for a call and its last look at the ring.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const EventSuppression wish = load(driver_event_);
    const unsigned kind = Le16::from_stored(wish.flags) & wish_mask;
    if (std::exchange(call_undecided_, false) || kind == wants_all) {
        return true;
    }
    if (kind != wants_position || !event_index_) {
        return kind != wants_none;
    }
    const Position wanted = Position::unpack(Le16::from_stored(wish.position));
    const int lap = wanted.wrap == begin.wrap ? 0 : size_;
    const int ahead = wanted.index + lap - begin.index;
    return ahead >= 0 && ahead < moved;
}

bool PackedVirtqueue::enable_kicks() noexcept {
    if (halted_) {
        return false;
    }
    store_index(device_event_->position, cursor_.pack(), std::memory_order_relaxed);
    store_index(device_event_->flags, event_index_ ? wants_position : wants_all,
                std::memory_order_release);
    if (log_) {
        log_ring();
    }
    // The wish before the last look; pairs with the driver's full barrier between a chain and its
    // look at the wish.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return peeked_ < size_ && is_available(cursor_);
}

void PackedVirtqueue::disable_kicks() noexcept {
    store_index(device_event_->flags, wants_none, std::memory_order_relaxed);
    if (log_) {
        log_ring();
    }
}

// The available and the used position are one (vhost-user.rst, "Vring base for packed").
uint32_t PackedVirtqueue::base() const noexcept {
    return uint32_t{next_.pack()} << 16 | next_.pack();
}

} // namespace tapline::vhost
