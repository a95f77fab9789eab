// Ring memory as both layouts need it: found and checked once, then read while the guest may
// rewrite it.
#pragma once

#include "backend/base/byte_order.h"
#include "vhost/guest_memory.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>

namespace tapline::vhost {

inline uint16_t load_index(const uint16_t& field, std::memory_order order) noexcept {
    // std::atomic_ref<const T> is C++26; nothing is written here.
    return Le16::from_stored(std::atomic_ref<uint16_t>(const_cast<uint16_t&>(field)).load(order));
}

inline void store_index(uint16_t& field, uint16_t value, std::memory_order order) noexcept {
    std::atomic_ref<uint16_t>(field).store(Le16(value).stored(), order);
}

template <typename T> T load(const T* field) noexcept {
    T value;
    std::memcpy(&value, field, sizeof value);
    std::atomic_signal_fence(std::memory_order_acq_rel); // The compiler shall not load it again.
    return value;
}

struct RingPart {
    const char* name; // For errors.
    uint64_t address; // Of the front end.
    uint64_t bytes;
    size_t alignment;
};

// Where the three parts lie. Throws ProtocolError unless they are aligned and lie apart in guest
// memory: else what the device writes could make new chains available, for ever.
std::array<std::byte*, 3> locate(const GuestMemory& memory, const std::array<RingPart, 3>& parts);

} // namespace tapline::vhost
