// What goes before each frame (virtio 1.2, 5.1.6). The kernel's own header is no C++.
#pragma once

#include "backend/base/byte_order.h"

#include <cstddef>
#include <cstdint>

namespace tapline::bench {

struct VirtioNetHeader {
    uint8_t flags = 0;
    uint8_t gso_type = 0;
    Le16 header_length = 0;
    Le16 gso_size = 0;
    Le16 checksum_start = 0;
    Le16 checksum_offset = 0;
    Le16 num_buffers = 0; // Not on packet sockets.

    static constexpr uint8_t needs_checksum = 1;
    static constexpr uint8_t gso_tcpv4 = 1;
    static constexpr uint8_t gso_udp_l4 = 5;
};
static_assert(sizeof(VirtioNetHeader) == 12);

constexpr size_t vnet_header_bytes = sizeof(VirtioNetHeader);
constexpr size_t short_vnet_header_bytes = offsetof(VirtioNetHeader, num_buffers);

} // namespace tapline::bench
