#include "vhost/split_virtqueue.h"

#include "vhost/chain_walk.h"
#include "vhost/features.h"
#include "vhost/protocol_error.h"
#include "vhost/ring_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

namespace tapline::vhost {
namespace {

constexpr uint16_t descriptor_has_next = 1;
constexpr uint16_t descriptor_is_writable = 2;
constexpr uint16_t descriptor_is_indirect = 4;
constexpr size_t indirect_entries_max = 65536; // `next` has 16 bits.
constexpr uint16_t driver_wants_no_call = 1;   // VIRTQ_AVAIL_F_NO_INTERRUPT
constexpr uint16_t device_wants_no_kick = 1;   // VIRTQ_USED_F_NO_NOTIFY

} // namespace

// 2.7: sizes and alignments of the three parts.
SplitVirtqueue::SplitVirtqueue(const Vring& vring, std::shared_ptr<const GuestMemory> memory,
                               uint64_t features, const Iotlb* iotlb)
    : Virtqueue(vring, std::move(memory), features, iotlb),
      mask_(static_cast<uint16_t>(vring.size - 1)),
      place_(find_ring(addresses_.memory(), iotlb, ring_parts(vring, features))),
      next_available_(static_cast<uint16_t>(vring.base.value_or(0))),
      cursor_(next_available_),
      seen_available_(next_available_) {
    if (!std::has_single_bit(vring.size)) {
        throw ProtocolError(ProtocolFault::ring_size,
                            fmt::format("{} is no power of two, as a split ring needs", size_));
    }
    const auto [descriptors, available, used] = place_.parts;
    descriptors_ = reinterpret_cast<const Descriptor*>(descriptors);
    available_ = reinterpret_cast<const Index*>(available);
    available_ring_ = reinterpret_cast<const uint16_t*>(available_ + 1);
    used_ = reinterpret_cast<Index*>(used);
    used_ring_ = reinterpret_cast<UsedElement*>(used_ + 1);
    available_event_ = reinterpret_cast<uint16_t*>(used_ring_ + size_);
    next_used_ = load_index(used_->index, std::memory_order_relaxed);
    published_used_ = next_used_;
    // Cloud Hypervisor tells the driver's own index as base, and relies on in-flight tracking.
    const auto in_flight = static_cast<uint16_t>(next_available_ - next_used_);
    if (vring.inflight_is_tracked && in_flight <= size_) {
        next_available_ = cursor_ = seen_available_ = next_used_;
    }
    // The front end says where, as that need not be where the guest has the ring; behind an IOMMU
    // it says so by an I/O virtual address.
    if (iotlb == nullptr) {
        written_parts_ = {
            {.address = vring.addresses->log, .bytes = ring_parts(vring, features)[2].bytes}};
    } else {
        written_parts_ = place_.guest_ranges[2];
    }
}

inline bool SplitVirtqueue::next_chain(IovecList& parts, Chain& chain) noexcept {
    if (halted_ || (cursor_ == seen_available_ && !look_for_more())) {
        return false;
    }
    const uint16_t head = load_index(available_ring_[cursor_ & mask_], std::memory_order_relaxed);
    if (head >= size_) {
        return breaks(RingFault::head_out_of_range);
    }
    const Descriptor descriptor = load(&descriptors_[head]);
    const uint16_t flags = descriptor.flags;
    if ((flags & (descriptor_has_next | descriptor_is_indirect)) == 0 &&
        take_single(addresses_.last(), descriptor.address, descriptor.length,
                    (flags & descriptor_is_writable) != 0, parts.end(), chain)) {
        parts.end_at(parts.end() + 1);
    } else if (!follow(descriptor, parts, chain)) {
        return false;
    }
    chain.id = head;
    ++cursor_;
    return true;
}

bool SplitVirtqueue::peek(IovecList& parts, Chain& chain) noexcept {
    assert(parts.room() >= chain_parts_max);
    return next_chain(parts, chain);
}

size_t SplitVirtqueue::peek(IovecList& parts, std::span<Chain> chains) noexcept {
    size_t count = 0;
    while (count < chains.size() && parts.room() >= chain_parts_max &&
           next_chain(parts, chains[count])) {
        ++count;
        if (cursor_ != seen_available_) {
            count += peek_singles(parts, chains.subspan(count));
        }
    }
    return count;
}

// What most chains are that are sent, as far as the driver's index was looked at. Each load is a
// barrier to the compiler, so members are copied first.
size_t SplitVirtqueue::peek_singles(IovecList& parts, std::span<Chain> chains) noexcept {
    const uint16_t* const heads = available_ring_;
    const Descriptor* const descriptors = descriptors_;
    const uint16_t size = size_;
    const uint16_t mask = mask_;
    const uint16_t end = seen_available_;
    uint16_t cursor = cursor_;
    ReadableSingles singles(addresses_.last(), parts, chains);
    for (; cursor != end && !singles.full(); ++cursor) {
        const uint16_t head = load_index(heads[cursor & mask], std::memory_order_relaxed);
        if (head >= size) {
            break;
        }
        const Descriptor descriptor = load(&descriptors[head]);
        if (descriptor.flags != 0 || !singles.take(descriptor.address, descriptor.length, head)) {
            break;
        }
    }
    cursor_ = cursor;
    return singles.count();
}

size_t SplitVirtqueue::available(size_t max) noexcept {
    const auto seen = [this] { return static_cast<uint16_t>(seen_available_ - next_available_); };
    if (!halted_ && seen() < max) {
        (void)look_for_more();
    }
    return halted_ ? 0 : std::min<size_t>(max, seen());
}

size_t SplitVirtqueue::place(std::span<Delivery> deliveries) noexcept {
    rewind();
    deliveries = deliveries.first(log_ ? 0 : available(deliveries.size()));
    size_t count = 0;
    while (count < deliveries.size()) { // Once, and again behind the end of the ring.
        const size_t begin = next_available_ & mask_;
        const size_t used = next_used_ & mask_;
        const size_t run = std::min(deliveries.size() - count, size_ - std::max(begin, used));
        const size_t placed =
            place_run(deliveries.subspan(count, run), available_ring_ + begin, used_ring_ + used);
        next_available_ = static_cast<uint16_t>(next_available_ + placed);
        next_used_ = static_cast<uint16_t>(next_used_ + placed);
        count += placed;
        if (placed < run) {
            break;
        }
    }
    cursor_ = next_available_;
    return count;
}

// By itself, as within place() its values would not fit the registers.
[[gnu::noinline]] size_t SplitVirtqueue::place_run(std::span<Delivery> deliveries,
                                                   const uint16_t* heads,
                                                   UsedElement* used) const noexcept {
    const GuestMemory::Window last = addresses_.last();
    const Descriptor* const descriptors = descriptors_;
    const unsigned size = size_;
    size_t count = 0;
    for (; count < deliveries.size(); ++count) {
        Delivery& delivery = deliveries[count];
        const unsigned head = load_index(heads[count], std::memory_order_relaxed);
        if (head >= size) {
            break;
        }
        const Descriptor& descriptor = descriptors[head];
        const uint64_t offset = load_field(descriptor.address) - last.address;
        const uint32_t length = load_field(descriptor.length);
        const uint32_t bytes = delivery.bytes;
        if (load_field(descriptor.flags) != descriptor_is_writable || length < bytes ||
            !last.has_room(offset, length)) {
            break;
        }
        delivery.place = last.host + offset;
        store_field(used[count].id, head);
        store_field(used[count].length, bytes);
    }
    return count;
}

bool SplitVirtqueue::look_for_more() noexcept {
    // 2.7.13.3: pairs with the driver's write barrier between the ring entry and the index.
    seen_available_ = load_index(available_->index, std::memory_order_acquire);
    if (static_cast<uint16_t>(seen_available_ - next_available_) > size_) {
        return breaks(RingFault::available_index);
    }
    return seen_available_ != cursor_;
}

bool SplitVirtqueue::follow(Descriptor first, IovecList& parts, Chain& chain) noexcept {
    ChainWalk walk(addresses_, parts);
    if (const RingFault fault = follow(walk, {descriptors_, size_, false}, first);
        fault != RingFault::none) {
        walk.undo();
        return breaks(fault);
    }
    if (!walk.complete()) {
        walk.undo();
        return awaits_another_table();
    }
    walk.finish(1, chain);
    return true;
}

RingFault SplitVirtqueue::follow(ChainWalk& walk, const Table& table, Descriptor first) noexcept {
    Descriptor descriptor = first;
    for (uint32_t steps = 0; steps < table.count; ++steps) {
        const uint16_t flags = descriptor.flags;
        if ((flags & descriptor_is_indirect) != 0) {
            // 2.7.5.3.1: at the end of a chain in the ring's own table, never within another.
            const bool allowed = indirect_ && !table.indirect && (flags & descriptor_has_next) == 0;
            return allowed ? follow_indirect(walk, descriptor) : RingFault::indirect_table;
        }
        if (const RingFault fault = walk.append(descriptor.address, descriptor.length,
                                                (flags & descriptor_is_writable) != 0);
            fault != RingFault::none) {
            return fault;
        }
        if ((flags & descriptor_has_next) == 0) {
            return RingFault::none;
        }
        const uint16_t next = descriptor.next;
        if (next >= table.count) {
            return RingFault::next_out_of_range;
        }
        descriptor = load(&table.entries[next]);
    }
    return RingFault::chain_too_long; // As many steps as entries: it runs in a circle.
}

RingFault SplitVirtqueue::follow_indirect(ChainWalk& walk, const Descriptor& descriptor) noexcept {
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
    const auto count =
        static_cast<uint32_t>(std::min<size_t>(bytes / sizeof(Descriptor), indirect_entries_max));
    return follow(walk, {entries, count, true}, load(entries));
}

void SplitVirtqueue::complete(const Chain& chain, uint32_t written) noexcept {
    used_ring_[next_used_ & mask_] = {.id = chain.id, .length = written};
    ++next_used_;
    ++next_available_;
    if (log_) {
        log_chain(chain, written);
    }
}

void SplitVirtqueue::complete_unwritten(std::span<const Chain> chains) noexcept {
    for (const Chain& chain : chains) {
        complete(chain, 0);
    }
}

bool SplitVirtqueue::publish() noexcept {
    const uint16_t before = std::exchange(published_used_, next_used_);
    if (before == next_used_) {
        return false;
    }
    // 2.7.8.2: elements before the index. Pairs with the driver's read barrier.
    store_index(used_->index, next_used_, std::memory_order_release);
    if (log_) {
        log_ring();
    }
    // 2.7.7.2: the index before the question whether to call; pairs with the driver's full
    // barrier between its wish for a call and its last look at the index.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!event_index_) {
        return (load_index(available_->flags, std::memory_order_relaxed) & driver_wants_no_call) ==
               0;
    }
    const uint16_t wanted_after =
        load_index(available_ring_[size_], std::memory_order_relaxed); // used_event
    const auto passed = static_cast<uint16_t>(next_used_ - wanted_after - 1);
    const auto moved = static_cast<uint16_t>(next_used_ - before);
    return std::exchange(call_undecided_, false) || passed < moved;
}

bool SplitVirtqueue::enable_kicks() noexcept {
    if (halted_) {
        return false;
    }
    if (event_index_) {
        store_index(*available_event_, cursor_, std::memory_order_relaxed);
    } else {
        store_index(used_->flags, 0, std::memory_order_relaxed);
    }
    if (log_) {
        log_ring();
    }
    // 2.7.10: the wish before the last look; pairs with the driver's full barrier between its
    // index and its look at the wish.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return load_index(available_->index, std::memory_order_relaxed) != cursor_;
}

void SplitVirtqueue::disable_kicks() noexcept {
    if (!event_index_) { // With event indices a wish is spent by the kick it asked for.
        store_index(used_->flags, device_wants_no_kick, std::memory_order_relaxed);
    }
    if (log_) {
        log_ring();
    }
}

} // namespace tapline::vhost
