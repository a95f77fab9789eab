#include "vhost/split_virtqueue.h"

#include "vhost/features.h"
#include "vhost/protocol_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cstring>
#include <utility>

namespace tapline::vhost {
namespace {

constexpr uint16_t descriptor_has_next = 1;
constexpr uint16_t descriptor_is_writable = 2;
constexpr uint16_t descriptor_is_indirect = 4;
constexpr size_t indirect_entries_max = 65536; // `next` has 16 bits.
constexpr uint16_t driver_wants_no_call = 1;   // VIRTQ_AVAIL_F_NO_INTERRUPT
constexpr uint16_t device_wants_no_kick = 1;   // VIRTQ_USED_F_NO_NOTIFY

uint16_t load_index(const uint16_t& field, std::memory_order order) {
    // std::atomic_ref<const T> is C++26; nothing is written here.
    return Le16::from_stored(std::atomic_ref<uint16_t>(const_cast<uint16_t&>(field)).load(order));
}

void store_index(uint16_t& field, uint16_t value, std::memory_order order) {
    std::atomic_ref<uint16_t>(field).store(Le16(value).stored(), order);
}

template <typename T> T load(const T* field) {
    T value;
    std::memcpy(&value, field, sizeof value);
    std::atomic_signal_fence(std::memory_order_acq_rel); // The compiler shall not load it again.
    return value;
}

template <typename T>
T* locate(const GuestMemory& memory, uint64_t address, uint64_t bytes, size_t alignment,
          const char* what) {
    std::byte* found = memory.at_user_address(address, bytes);
    if (found == nullptr || reinterpret_cast<uintptr_t>(found) % alignment != 0) {
        throw ProtocolError(
            ProtocolFault::ring_address,
            fmt::format("{} at {:#x} {}", what, address,
                        found == nullptr ? "lies outside the shared memory" : "is not aligned"));
    }
    return reinterpret_cast<T*>(found);
}

struct Extent {
    uint64_t begin;
    uint64_t bytes;
};

void check_apart(const std::array<Extent, 3>& parts) {
    for (size_t i = 0; i < parts.size(); ++i) {
        const Extent& a = parts[i];
        const Extent& b = parts[(i + 1) % parts.size()];
        if (a.begin < b.begin + b.bytes && b.begin < a.begin + a.bytes) {
            throw ProtocolError(
                ProtocolFault::ring_address,
                fmt::format("parts of the ring overlap at {:#x}", std::max(a.begin, b.begin)));
        }
    }
}

} // namespace

struct SplitVirtqueue::Walk {
    IovecList& parts;
    size_t begin; // Of this chain in parts.
    size_t readable_parts = 0;
    size_t readable_bytes = 0;
    size_t writable_bytes = 0;
    bool in_writable = false;
    bool in_indirect = false;
};

const char* to_text(RingFault fault) {
    constexpr std::array<const char*, ring_fault_count> names = {"none",
                                                                 "available_index",
                                                                 "head_out_of_range",
                                                                 "next_out_of_range",
                                                                 "chain_too_long",
                                                                 "descriptor_outside_memory",
                                                                 "indirect_table",
                                                                 "readable_after_writable"};
    return names[static_cast<size_t>(fault)];
}

// virtio 1.2, 2.7: sizes and alignments of the three parts.
SplitVirtqueue::SplitVirtqueue(const Vring& vring, std::shared_ptr<const GuestMemory> memory,
                               uint64_t features)
    : memory_(std::move(memory)),
      mask_(static_cast<uint16_t>(vring.size - 1)),
      size_(static_cast<uint16_t>(vring.size)),
      event_index_(has(features, Feature::event_idx)),
      indirect_(has(features, Feature::indirect_desc)),
      next_available_(vring.base),
      seen_available_(vring.base) {
    const VringAddresses& at = *vring.addresses;
    const uint64_t event_bytes = event_index_ ? sizeof(uint16_t) : 0;
    const uint64_t table_bytes = sizeof(Descriptor) * size_;
    const uint64_t available_bytes = sizeof(Index) + sizeof(uint16_t) * size_ + event_bytes;
    const uint64_t used_bytes = sizeof(Index) + sizeof(UsedElement) * size_ + event_bytes;
    descriptors_ =
        locate<Descriptor>(*memory_, at.descriptors, table_bytes, 16, "the descriptor table");
    available_ = locate<Index>(*memory_, at.available, available_bytes, 2, "the available ring");
    used_ = locate<Index>(*memory_, at.used, used_bytes, 4, "the used ring");
    // Else what we give back would make new chains available, for ever.
    check_apart(
        {{{at.descriptors, table_bytes}, {at.available, available_bytes}, {at.used, used_bytes}}});
    available_ring_ = reinterpret_cast<const uint16_t*>(available_ + 1);
    used_ring_ = reinterpret_cast<UsedElement*>(used_ + 1);
    available_event_ = reinterpret_cast<uint16_t*>(used_ring_ + size_);
    next_used_ = load_index(used_->index, std::memory_order_relaxed);
    published_used_ = next_used_;
}

bool SplitVirtqueue::breaks(RingFault fault) noexcept {
    fault_ = fault;
    return false;
}

uint16_t SplitVirtqueue::available() noexcept {
    if (fault_ != RingFault::none) {
        return 0;
    }
    // 2.7.13.3: pairs with the driver's write barrier between the ring entry and the index.
    seen_available_ = load_index(available_->index, std::memory_order_acquire);
    const auto waiting = static_cast<uint16_t>(seen_available_ - next_available_);
    if (waiting > size_) {
        breaks(RingFault::available_index);
        return 0;
    }
    return waiting;
}

bool SplitVirtqueue::peek(uint16_t ahead, IovecList& parts, Chain& chain) noexcept {
    assert(ahead < static_cast<uint16_t>(seen_available_ - next_available_));
    assert(parts.room() >= chain_parts_max);
    const uint16_t head =
        load_index(available_ring_[static_cast<uint16_t>(next_available_ + ahead) & mask_],
                   std::memory_order_relaxed);
    if (head >= size_) {
        return breaks(RingFault::head_out_of_range);
    }
    Walk walk{.parts = parts, .begin = parts.size()};
    parts.begin_run();
    if (!follow(walk, descriptors_, size_, head)) {
        parts.shrink(walk.begin);
        return false;
    }
    const std::span<iovec> all = parts.from(walk.begin);
    const size_t split = walk.in_writable ? walk.readable_parts : all.size();
    chain = {.head = head,
             .readable = all.first(split),
             .writable = all.subspan(split),
             .readable_bytes = walk.readable_bytes,
             .writable_bytes = walk.writable_bytes};
    return true;
}

bool SplitVirtqueue::follow(Walk& walk, const Descriptor* table, uint32_t entries,
                            uint16_t first) noexcept {
    uint16_t index = first;
    for (uint32_t steps = 0; steps < entries; ++steps) {
        const Descriptor descriptor = load(&table[index]);
        if ((descriptor.flags & descriptor_is_indirect) != 0) {
            // 2.7.5.3.1: at the end of a chain in the ring's own table, never within another.
            const bool allowed =
                indirect_ && !walk.in_indirect && (descriptor.flags & descriptor_has_next) == 0;
            return allowed ? follow_indirect(walk, descriptor) : breaks(RingFault::indirect_table);
        }
        if (!append(walk, descriptor)) {
            return false;
        }
        if ((descriptor.flags & descriptor_has_next) == 0) {
            return true;
        }
        index = descriptor.next;
        if (index >= entries) {
            return breaks(RingFault::next_out_of_range);
        }
    }
    return breaks(RingFault::chain_too_long); // As many steps as entries: it runs in a circle.
}

bool SplitVirtqueue::follow_indirect(Walk& walk, const Descriptor& descriptor) noexcept {
    const uint32_t bytes = descriptor.length;
    const std::byte* table = memory_->at_guest_address(descriptor.address, bytes);
    if (table == nullptr || bytes == 0 || bytes % sizeof(Descriptor) != 0) {
        return breaks(RingFault::indirect_table);
    }
    const auto entries =
        static_cast<uint32_t>(std::min<size_t>(bytes / sizeof(Descriptor), indirect_entries_max));
    walk.in_indirect = true;
    return follow(walk, reinterpret_cast<const Descriptor*>(table), entries, 0);
}

bool SplitVirtqueue::append(Walk& walk, const Descriptor& descriptor) noexcept {
    const bool writable = (descriptor.flags & descriptor_is_writable) != 0;
    if (writable && !walk.in_writable) {
        walk.in_writable = true;
        walk.readable_parts = walk.parts.size() - walk.begin;
        walk.parts.begin_run();
    } else if (!writable && walk.in_writable) {
        return breaks(RingFault::readable_after_writable);
    }
    const uint32_t length = descriptor.length;
    if (!memory_->append(descriptor.address, length, walk.parts)) {
        return breaks(walk.parts.room() == 0 ? RingFault::chain_too_long
                                             : RingFault::descriptor_outside_memory);
    }
    if (walk.parts.size() - walk.begin > chain_parts_max) {
        return breaks(RingFault::chain_too_long);
    }
    (writable ? walk.writable_bytes : walk.readable_bytes) += length;
    return true;
}

void SplitVirtqueue::complete(const Chain& chain, uint32_t written) noexcept {
    used_ring_[next_used_ & mask_] = {.id = chain.head, .length = written};
    ++next_used_;
    ++next_available_;
}

bool SplitVirtqueue::publish() noexcept {
    const uint16_t before = std::exchange(published_used_, next_used_);
    if (before == next_used_) {
        return false;
    }
    // 2.7.8.2: elements before the index. Pairs with the driver's read barrier.
    store_index(used_->index, next_used_, std::memory_order_release);
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
    if (fault_ != RingFault::none) {
        return false;
    }
    if (event_index_) {
        store_index(*available_event_, seen_available_, std::memory_order_relaxed);
    } else {
        store_index(used_->flags, 0, std::memory_order_relaxed);
    }
    // 2.7.10: the wish before the last look; pairs with the driver's full barrier between its
    // index and its look at the wish.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return load_index(available_->index, std::memory_order_relaxed) != seen_available_;
}

void SplitVirtqueue::disable_kicks() noexcept {
    if (!event_index_) { // With event indices a wish is spent by the kick it asked for.
        store_index(used_->flags, device_wants_no_kick, std::memory_order_relaxed);
    }
}

} // namespace tapline::vhost
