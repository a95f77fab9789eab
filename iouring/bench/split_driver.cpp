#include "iouring/bench/split_driver.h"

#include <atomic>
#include <utility>

namespace tapline::bench {
namespace {

constexpr uint16_t descriptor_has_next = 1;
constexpr uint16_t descriptor_is_indirect = 4;
constexpr size_t index_place = 1; // Of available_ and used_, behind the flags.
constexpr size_t ring_place = 2;

uint16_t load(uint16_t& field, std::memory_order order) {
    return Le16::from_stored(std::atomic_ref(field).load(order));
}

void store(uint16_t& field, uint16_t value, std::memory_order order) {
    std::atomic_ref(field).store(Le16(value).stored(), order);
}

} // namespace

SplitDriver::SplitDriver(GuestRam& ram, uint16_t size, bool event_index)
    : DriverRing(size, event_index),
      ram_(ram),
      mask_(static_cast<uint16_t>(size - 1)),
      table_at_(ram.allocate(sizeof(Descriptor) * size)),
      available_at_(ram.allocate(sizeof(uint16_t) * (ring_place + size + 1))),
      used_at_(ram.allocate(sizeof(uint16_t) * (ring_place + 1) + sizeof(UsedElement) * size)),
      table_(ram.as<Descriptor>(table_at_)),
      available_(ram.as<uint16_t>(available_at_)),
      used_(ram.as<uint16_t>(used_at_)),
      elements_(ram.as<UsedElement>(used_at_ + sizeof(uint16_t) * ring_place)) {}

void SplitDriver::define(uint16_t id, std::span<const Part> parts, Access access) {
    const auto write_to = [&](Descriptor& descriptor, const Part& part, uint16_t flags) {
        descriptor = {.address = part.address, .length = part.length, .flags = flags, .next = 0};
    };
    const auto flags = static_cast<uint16_t>(access);
    if (parts.size() == 1) {
        write_to(table_[id], parts[0], flags);
        return;
    }
    const auto bytes = static_cast<uint32_t>(sizeof(Descriptor) * parts.size());
    const uint64_t indirect_at = ram_.allocate(bytes);
    auto* indirect = ram_.as<Descriptor>(indirect_at);
    for (size_t i = 0; i < parts.size(); ++i) {
        const bool last = i + 1 == parts.size();
        write_to(indirect[i], parts[i],
                 static_cast<uint16_t>(flags | (last ? 0 : descriptor_has_next)));
        indirect[i].next = static_cast<uint16_t>(last ? 0 : i + 1);
    }
    write_to(table_[id], {.address = indirect_at, .length = bytes}, descriptor_is_indirect);
}

void SplitDriver::add(uint16_t id) noexcept {
    store(available_[ring_place + (next_available_ & mask_)], id, std::memory_order_relaxed);
    ++next_available_;
}

bool SplitDriver::publish() noexcept {
    const uint16_t before = std::exchange(published_, next_available_);
    store(available_[index_place], next_available_, std::memory_order_release);
    // 2.7.13.4: the index before the question whether to kick.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!event_index_) {
        return load(used_[0], std::memory_order_relaxed) == 0;
    }
    uint16_t& available_event =
        *ram_.as<uint16_t>(used_at_ + sizeof(uint16_t) * ring_place + sizeof(UsedElement) * size_);
    const uint16_t event = load(available_event, std::memory_order_relaxed);
    return static_cast<uint16_t>(next_available_ - event - 1) <
           static_cast<uint16_t>(next_available_ - before);
}

bool SplitDriver::next_used(Used& used) noexcept {
    if (next_used_ == seen_used_) {
        seen_used_ = load(used_[index_place], std::memory_order_acquire);
        if (next_used_ == seen_used_) {
            return false;
        }
    }
    const UsedElement& element = elements_[next_used_ & mask_];
    used = {.id = static_cast<uint16_t>(element.id & mask_), .length = element.length};
    ++next_used_;
    return true;
}

bool SplitDriver::ask_for_call(uint16_t after) noexcept {
    const auto last = static_cast<uint16_t>(next_used_ + after - 1);
    store(available_[ring_place + size_], last, std::memory_order_relaxed); // used_event
    // 2.7.7.1: the wish before the last look.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    seen_used_ = load(used_[index_place], std::memory_order_acquire);
    return static_cast<uint16_t>(seen_used_ - next_used_) < after;
}

vhost::VringAddresses SplitDriver::addresses(uint32_t index) const {
    return {.index = index,
            .flags = 0,
            .descriptors = ram_.user_address(table_at_),
            .used = ram_.user_address(used_at_),
            .available = ram_.user_address(available_at_),
            .log = 0};
}

} // namespace tapline::bench
