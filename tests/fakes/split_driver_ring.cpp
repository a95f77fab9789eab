#include "tests/fakes/split_driver_ring.h"

#include <atomic>
#include <cstring>

namespace tapline::fakes {
namespace {

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

SplitDriverRing::SplitDriverRing(GuestRam& ram, uint16_t size, bool event_index, uint16_t start)
    : ram_(ram),
      size_(size),
      event_index_(event_index),
      start_(start),
      table_at_(ram.allocate(size_t{16} * size, 16)),
      available_at_(ram.allocate(6 + size_t{2} * size, 2)),
      used_at_(ram.allocate(6 + size_t{8} * size, 4)),
      table_(reinterpret_cast<Descriptor*>(ram.at(table_at_))),
      available_(reinterpret_cast<uint16_t*>(ram.at(available_at_))),
      used_(reinterpret_cast<uint16_t*>(ram.at(used_at_))),
      chains_(size),
      tables_(size),
      next_used_(start),
      kicked_(start) {
    available_[1] = start;
    used_[1] = start;
    available_[2 + size] = start; // used_event: the first chain shall call.
    for (uint16_t i = size; i > 0; --i) {
        free_.push_back(static_cast<uint16_t>(i - 1));
    }
}

std::optional<uint16_t> SplitDriverRing::add(std::span<const Buffer> chain, Layout layout) {
    const size_t needed = layout == Layout::indirect ? 1 : chain.size();
    if (free_.size() < needed) {
        return std::nullopt;
    }
    const uint16_t head = free_.back();
    if (layout == Layout::indirect && tables_[head] == 0) {
        tables_[head] = ram_.allocate(sizeof(Descriptor) * indirect_entries_max, 16);
    }
    auto* table =
        layout == Layout::indirect ? reinterpret_cast<Descriptor*>(ram_.at(tables_[head])) : table_;
    std::vector<uint16_t> taken;
    for (size_t i = 0; i < needed; ++i) {
        taken.push_back(free_.back());
        free_.pop_back();
    }
    for (size_t i = 0; i < chain.size(); ++i) {
        const bool last = i + 1 == chain.size();
        const auto at = [&](size_t n) {
            return layout == Layout::indirect ? static_cast<uint16_t>(n) : taken[n];
        };
        table[at(i)] = {.address = chain[i].address,
                        .length = chain[i].length,
                        .flags = static_cast<uint16_t>((chain[i].writable ? write_flag : 0) |
                                                       (last ? 0 : next_flag)),
                        .next = last ? uint16_t{0} : at(i + 1)};
    }
    if (layout == Layout::indirect) {
        table_[head] = {.address = tables_[head],
                        .length = static_cast<uint32_t>(sizeof(Descriptor) * chain.size()),
                        .flags = indirect_flag,
                        .next = 0};
    }
    chains_[head] = std::move(taken);
    add_head(head);
    return head;
}

void SplitDriverRing::add_head(uint16_t head) {
    const uint16_t index = available_[1];
    store(available_[2 + index % size_], head);
    store(available_[1], static_cast<uint16_t>(index + 1));
}

bool SplitDriverRing::kick_is_wanted() {
    full_barrier();
    const uint16_t index = available_[1];
    const uint16_t before = std::exchange(kicked_, index);
    if (!event_index_) {
        return (load(used_[0]) & 1) == 0;
    }
    const uint16_t event = load(used_[2 + 4 * size_]);
    return static_cast<uint16_t>(index - event - 1) < static_cast<uint16_t>(index - before);
}

std::optional<Used> SplitDriverRing::next_used() {
    if (load(used_[1]) == next_used_) {
        return std::nullopt;
    }
    Used used{};
    std::memcpy(&used, &used_[2 + 4 * (next_used_ % size_)], sizeof used);
    ++next_used_;
    if (used.id < size_) {
        free_.insert(free_.end(), chains_[used.id].rbegin(), chains_[used.id].rend());
        chains_[used.id].clear();
    }
    return used;
}

bool SplitDriverRing::enable_calls() {
    store(available_[0], 0);
    store(available_[2 + size_], next_used_); // used_event
    full_barrier();
    return load(used_[1]) == next_used_;
}

void SplitDriverRing::disable_calls() {
    if (!event_index_) {
        store(available_[0], 1);
    }
}

uint16_t SplitDriverRing::available_index() const {
    return available_[1];
}

void SplitDriverRing::set_available_index(uint16_t index) {
    store(available_[1], index);
}

vhost::VringAddresses SplitDriverRing::addresses(uint32_t index) const {
    return {.index = index,
            .flags = 0,
            .descriptors = ram_.user_address(table_at_),
            .used = ram_.user_address(used_at_),
            .available = ram_.user_address(available_at_),
            .log = 0};
}

} // namespace tapline::fakes
