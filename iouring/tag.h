// What a completion belongs to: travels through the kernel as user_data.
#pragma once

#include <cstdint>

namespace tapline {

enum class TagKind : uint8_t {
    tap_read,  // slot: the read of this turn.
    tap_write, // slot: the frame of this turn; seen only when it failed.
    tap_readable,
    kick, // slot: Direction.
    translation,
    call, // slot: Direction.
    error,
    stop,
};

class Tag {
public:
    explicit constexpr Tag(TagKind kind, uint16_t slot = 0)
        : user_data_(static_cast<uint64_t>(kind) << slot_bits | slot) {}
    static constexpr Tag unpack(uint64_t user_data) { return Tag(user_data); }
    constexpr uint64_t pack() const { return user_data_; }

    constexpr TagKind kind() const { return static_cast<TagKind>(user_data_ >> slot_bits); }
    constexpr uint16_t slot() const { return static_cast<uint16_t>(user_data_); }

private:
    static constexpr unsigned slot_bits = 16;

    explicit constexpr Tag(uint64_t user_data) : user_data_(user_data) {}

    uint64_t user_data_;
};

} // namespace tapline
