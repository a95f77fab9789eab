// A fuzzer's bytes, taken off from the front; where they end, zeros.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tapline::fuzz {

class Input {
public:
    Input(const uint8_t* data, size_t size) : rest_(std::as_bytes(std::span(data, size))) {}

    bool empty() const { return rest_.empty(); }

    std::span<const std::byte> bytes(size_t count) {
        const auto taken = rest_.first(std::min(count, rest_.size()));
        rest_ = rest_.subspan(taken.size());
        return taken;
    }
    std::span<const std::byte> rest() { return bytes(rest_.size()); }

    template <typename T> T number() {
        T value{};
        const auto taken = bytes(sizeof value);
        std::ranges::copy(taken, std::as_writable_bytes(std::span(&value, 1)).begin());
        return value;
    }

private:
    std::span<const std::byte> rest_;
};

// What must hold whatever the bytes are; unlike assert() it stays in every build.
inline void require(bool holds) {
    if (!holds) {
        __builtin_trap();
    }
}

} // namespace tapline::fuzz
