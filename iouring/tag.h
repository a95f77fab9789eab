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

struct Tag {
    TagKind kind;
    uint16_t slot;

    static uint64_t pack(TagKind kind, uint16_t slot = 0) {
        return uint64_t{slot} << 8 | static_cast<uint64_t>(kind);
    }
    static Tag unpack(uint64_t user_data) {
        return {.kind = static_cast<TagKind>(user_data & 0xff),
                .slot = static_cast<uint16_t>(user_data >> 8)};
    }
};

} // namespace tapline
