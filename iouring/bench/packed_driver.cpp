#include "iouring/bench/packed_driver.h"

#include <atomic>
#include <utility>

namespace tapline::bench {
namespace {

constexpr uint16_t descriptor_is_indirect = 4;
constexpr uint16_t flag_available = 1U << 7U;
constexpr uint16_t flag_used = 1U << 15U;

constexpr uint16_t event_enabled = 0;
constexpr uint16_t event_disabled = 1;
constexpr uint16_t event_at_place = 2;
constexpr uint16_t wrap_bit = 1U << 15U;

uint16_t load(const uint16_t& field, std::memory_order order) {
    return Le16::from_stored(std::atomic_ref(const_cast<uint16_t&>(field)).load(order));
}

void store(uint16_t& field, uint16_t value, std::memory_order order) {
    std::atomic_ref(field).store(Le16(value).stored(), order);
}

} // namespace

void PackedDriver::Place::advance(uint16_t size) {
    if (++index == size) {
        index = 0;
        wrap = !wrap;
    }
}

PackedDriver::PackedDriver(GuestRam& ram, uint16_t size, bool event_index)
    : DriverRing(size, event_index),
      ram_(ram),
      ring_at_(ram.allocate(sizeof(Descriptor) * size)),
      driver_event_at_(ram.allocate(sizeof(Event))),
      device_event_at_(ram.allocate(sizeof(Event))),
      ring_(ram.as<Descriptor>(ring_at_)),
      driver_event_(ram.as<Event>(driver_event_at_)),
      device_event_(ram.as<Event>(device_event_at_)),
      chains_(size) {}

void PackedDriver::define(uint16_t id, std::span<const Part> parts, Access access) {
    const auto flags = static_cast<uint16_t>(access);
    if (parts.size() == 1) {
        chains_[id] = {.part = parts[0], .flags = flags};
        return;
    }
    const auto bytes = static_cast<uint32_t>(sizeof(Descriptor) * parts.size());
    const uint64_t indirect_at = ram_.allocate(bytes);
    auto* indirect = ram_.as<Descriptor>(indirect_at);
    for (size_t i = 0; i < parts.size(); ++i) { // 2.8.7: one behind the other, without "next".
        indirect[i] = {.address = parts[i].address, .length = parts[i].length, .id = 0, .flags = 0};
        store(indirect[i].flags, flags, std::memory_order_relaxed);
    }
    chains_[id] = {.part = {.address = indirect_at, .length = bytes},
                   .flags = descriptor_is_indirect};
}

void PackedDriver::add(uint16_t id) noexcept {
    const Chain& chain = chains_[id];
    Descriptor& descriptor = ring_[next_available_.index];
    descriptor.address = chain.part.address;
    descriptor.length = chain.part.length;
    descriptor.id = id;
    const auto flags =
        static_cast<uint16_t>(chain.flags | (next_available_.wrap ? flag_available : flag_used));
    if (unpublished_++ == 0) { // What follows it is not looked at before.
        first_unpublished_ = next_available_;
        first_flags_ = flags;
    } else {
        store(descriptor.flags, flags, std::memory_order_relaxed);
    }
    next_available_.advance(size_);
}

bool PackedDriver::publish() noexcept {
    const uint16_t added = std::exchange(unpublished_, uint16_t{0});
    if (added == 0) {
        return false;
    }
    store(ring_[first_unpublished_.index].flags, first_flags_, std::memory_order_release);
    // 2.8.21.3.1: the flags before the question whether to kick.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const uint16_t flags = load(device_event_->flags, std::memory_order_acquire);
    if (flags != event_at_place) {
        return flags != event_disabled;
    }
    const uint16_t wanted = load(device_event_->place_and_wrap, std::memory_order_relaxed);
    auto place = static_cast<uint16_t>(wanted & ~wrap_bit);
    if (((wanted & wrap_bit) != 0) != next_available_.wrap) {
        place = static_cast<uint16_t>(place - size_);
    }
    return static_cast<uint16_t>(next_available_.index - place - 1) < added;
}

bool PackedDriver::is_used(const Place& place) const noexcept {
    const uint16_t flags = load(ring_[place.index].flags, std::memory_order_acquire);
    const bool available = (flags & flag_available) != 0;
    const bool used = (flags & flag_used) != 0;
    return available == used && used == place.wrap;
}

bool PackedDriver::next_used(Used& used) noexcept {
    if (!is_used(next_used_)) {
        return false;
    }
    const Descriptor& descriptor = ring_[next_used_.index];
    used = {.id = static_cast<uint16_t>(descriptor.id % size_), .length = descriptor.length};
    next_used_.advance(size_);
    return true;
}

bool PackedDriver::ask_for_call(uint16_t after) noexcept {
    Place place = next_used_;
    for (uint16_t i = 1; i < after; ++i) {
        place.advance(size_);
    }
    if (event_index_) {
        store(driver_event_->place_and_wrap,
              static_cast<uint16_t>(place.index | (place.wrap ? wrap_bit : 0)),
              std::memory_order_relaxed);
    }
    store(driver_event_->flags, event_index_ ? event_at_place : event_enabled,
          std::memory_order_release);
    // 2.8.14: the wish before the last look.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return !is_used(place);
}

vhost::VringAddresses PackedDriver::addresses(uint32_t index) const {
    return {.index = index,
            .flags = 0,
            .descriptors = ram_.user_address(ring_at_),
            .used = ram_.user_address(device_event_at_),
            .available = ram_.user_address(driver_event_at_),
            .log = 0};
}

} // namespace tapline::bench
