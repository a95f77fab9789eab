// The virtio header in front of each frame (virtio 1.2, 5.1.6), without num_buffers.
// linux/virtio_net.h is not C++.
#pragma once

#include "backend/base/byte_order.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tapline {

struct VirtioNetHeader {
    static constexpr uint8_t needs_checksum = 1; // In flags.
    static constexpr uint8_t gso_none = 0;

    uint8_t flags;
    uint8_t gso_type;
    Le16 header_bytes;
    Le16 gso_size;
    Le16 checksum_start;
    Le16 checksum_offset;

    // bytes: as many, at least.
    static VirtioNetHeader from(std::span<const std::byte> bytes) {
        VirtioNetHeader header;
        std::ranges::copy(bytes.first(sizeof header),
                          std::as_writable_bytes(std::span(&header, 1)).begin());
        return header;
    }
};
static_assert(sizeof(VirtioNetHeader) == 10);

} // namespace tapline
