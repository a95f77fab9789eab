// Integers stored little-endian, as virtio and vhost-user lay them out in memory.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>

namespace tapline {

template <std::unsigned_integral T> class LittleEndian {
public:
    LittleEndian() = default;
    LittleEndian(T value) : stored_(swap(value)) {}
    operator T() const { return swap(stored_); }

    // The bytes as they lie in memory, for atomic access to them.
    static T from_stored(T stored) { return swap(stored); }
    T stored() const { return stored_; }
    T& stored() { return stored_; }

private:
    static constexpr T swap(T value) {
        if constexpr (std::endian::native == std::endian::little || sizeof(T) == 1) {
            return value;
        } else if constexpr (sizeof(T) == 2) {
            return __builtin_bswap16(value);
        } else if constexpr (sizeof(T) == 4) {
            return __builtin_bswap32(value);
        } else {
            return __builtin_bswap64(value);
        }
    }

    T stored_;
};

using Le16 = LittleEndian<uint16_t>;
using Le32 = LittleEndian<uint32_t>;
using Le64 = LittleEndian<uint64_t>;

} // namespace tapline
