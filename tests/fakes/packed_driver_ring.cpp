#include "tests/fakes/packed_driver_ring.h"

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <utility>

namespace tapline::fakes {
namespace {

constexpr uint16_t wants_all = 0;
constexpr uint16_t wants_none = 1;
constexpr uint16_t wants_position = 2;

uint16_t load(uint16_t& field) {
    return std::atomic_ref(field).load(std::memory_order_acquire);
}

void store(uint16_t& field, uint16_t value) {
    std::atomic_ref(field).store(value, std::memory_order_release);
}

void full_barrier() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

} // namespace

PackedDriverRing::PackedDriverRing(GuestRam& ram, uint16_t size, bool event_index)
    : ram_(ram),
      size_(size),
      event_index_(event_index),
      ring_at_(ram.allocate(sizeof(Descriptor) * size, 16)),
      driver_event_at_(ram.allocate(sizeof(Event), 4)),
      device_event_at_(ram.allocate(sizeof(Event), 4)),
      ring_(reinterpret_cast<Descriptor*>(ram.at(ring_at_))),
      driver_event_(reinterpret_cast<Event*>(ram.at(driver_event_at_))),
      device_event_(reinterpret_cast<Event*>(ram.at(device_event_at_))),
      free_slots_(size),
      slots_of_(size),
      tables_(size) {
    for (uint16_t i = size; i > 0; --i) {
        free_ids_.push_back(static_cast<uint16_t>(i - 1));
    }
}

void PackedDriverRing::advance(Position& position, size_t slots) const {
    const size_t index = position.index + slots;
    position = {.index = static_cast<uint16_t>(index % size_),
                .wrap = position.wrap != (index >= size_)};
}

std::optional<uint16_t> PackedDriverRing::add(std::span<const Buffer> chain, Layout layout) {
    const size_t needed = layout == Layout::indirect ? 1 : chain.size();
    if (free_slots_ < needed || free_ids_.empty()) {
        return std::nullopt;
    }
    const uint16_t id = free_ids_.back();
    free_ids_.pop_back();
    std::vector<Descriptor> descriptors;
    for (const Buffer& buffer : chain) {
        descriptors.push_back({.address = buffer.address,
                               .length = buffer.length,
                               .id = id,
                               .flags = buffer.writable ? write_flag : uint16_t{0}});
    }
    if (layout == Layout::indirect) {
        if (tables_[id] == 0) {
            tables_[id] = ram_.allocate(sizeof(Descriptor) * indirect_entries_max, 16);
        }
        std::ranges::copy(descriptors, reinterpret_cast<Descriptor*>(ram_.at(tables_[id])));
        descriptors = {{.address = tables_[id],
                        .length = static_cast<uint32_t>(sizeof(Descriptor) * chain.size()),
                        .id = id,
                        .flags = indirect_flag}};
    }
    for (size_t i = 0; i + 1 < descriptors.size(); ++i) {
        descriptors[i].flags |= next_flag;
        descriptors[i].id = 0xdead; // 2.8.6: only the last one's counts.
    }
    slots_of_[id] = static_cast<uint16_t>(needed);
    add_raw(descriptors);
    return id;
}

// The head's flags come last: they make the chain visible.
void PackedDriverRing::add_raw(std::span<const Descriptor> descriptors) {
    const Position head = next_available_;
    uint16_t head_flags = 0;
    for (size_t i = 0; i < descriptors.size(); ++i) {
        const bool wrap = next_available_.wrap;
        const auto flags =
            static_cast<uint16_t>(descriptors[i].flags | (wrap ? available_flag : used_flag));
        Descriptor& slot = ring_[next_available_.index];
        slot.address = descriptors[i].address;
        slot.length = descriptors[i].length;
        slot.id = descriptors[i].id;
        if (i == 0) {
            head_flags = flags;
        } else {
            store(slot.flags, flags);
        }
        advance(next_available_, 1);
    }
    store(ring_[head.index].flags, head_flags);
    free_slots_ -= std::min(free_slots_, descriptors.size());
    added_since_question_ += descriptors.size();
}

bool PackedDriverRing::kick_is_wanted() {
    full_barrier();
    const size_t added = std::exchange(added_since_question_, 0);
    const uint16_t wish = load(device_event_->flags);
    if (wish != wants_position) {
        return wish == wants_all;
    }
    const uint16_t position = load(device_event_->position);
    const uint16_t index = position & 0x7fff;
    const bool wrap = position >> 15 != 0;
    // As Linux does in virtqueue_kick_prepare_packed(): counted back from the end.
    int event = index;
    if (wrap != next_available_.wrap) {
        event -= size_;
    }
    const auto passed = static_cast<uint16_t>(next_available_.index - event - 1);
    return passed < added;
}

std::optional<Used> PackedDriverRing::next_used() {
    Descriptor& slot = ring_[next_used_.index];
    const uint16_t flags = load(slot.flags);
    const bool available = (flags & available_flag) != 0;
    const bool used = (flags & used_flag) != 0;
    if (available != used || used != next_used_.wrap) {
        return std::nullopt;
    }
    const Used found{.id = slot.id, .length = slot.length};
    if (found.id >= size_ || slots_of_[found.id] == 0) {
        throw std::runtime_error("the device gave back a chain it does not have");
    }
    const uint16_t slots = std::exchange(slots_of_[found.id], uint16_t{0});
    advance(next_used_, slots);
    free_slots_ += slots;
    free_ids_.push_back(static_cast<uint16_t>(found.id));
    return found;
}

bool PackedDriverRing::enable_calls() {
    if (event_index_) {
        store(driver_event_->position,
              static_cast<uint16_t>(next_used_.index | (next_used_.wrap ? 0x8000 : 0)));
        store(driver_event_->flags, wants_position);
    } else {
        store(driver_event_->flags, wants_all);
    }
    full_barrier();
    const uint16_t flags = load(ring_[next_used_.index].flags);
    const bool used = (flags & used_flag) != 0;
    return ((flags & available_flag) != 0) != used || used != next_used_.wrap;
}

void PackedDriverRing::disable_calls() {
    store(driver_event_->flags, wants_none);
}

vhost::VringAddresses PackedDriverRing::addresses(uint32_t index) const {
    return {.index = index,
            .flags = 0,
            .descriptors = ram_.user_address(ring_at_),
            .used = ram_.user_address(device_event_at_),
            .available = ram_.user_address(driver_event_at_),
            .log = 0};
}

} // namespace tapline::fakes
