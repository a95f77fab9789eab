// What a completion belongs to: travels through the kernel as user_data.
#pragma once

#include <bit>
#include <cstdint>

namespace tapline {

enum class TagKind : uint8_t {
    tap_read,  // slot: the read of this turn.
    tap_write, // slot: the frame of this turn; seen only when it failed.
    tap_readable,
    kick, // slot: Direction.
    call, // slot: Direction.
    error,
    stop,
};

struct Tag {
    TagKind kind;
    uint8_t padding;
    uint16_t slot;
    uint32_t reserved;

    static uint64_t pack(TagKind kind, uint16_t slot = 0) {
        return std::bit_cast<uint64_t>(
            Tag{.kind = kind, .padding = 0, .slot = slot, .reserved = 0});
    }
    static Tag unpack(uint64_t user_data) { return std::bit_cast<Tag>(user_data); }
};
static_assert(sizeof(Tag) == sizeof(uint64_t));

} // namespace tapline
