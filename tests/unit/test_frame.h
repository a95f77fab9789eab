// Frames that can be told apart, each with a virtio header in front.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace tapline {

constexpr size_t header_bytes = 12; // virtio 1.2, 5.1.6: with num_buffers.
constexpr size_t num_buffers_offset = 10;

// So many bytes with the header, which is all zeros. No two numbers give the same frame.
inline std::vector<std::byte> test_frame(uint32_t number, size_t bytes) {
    std::vector<std::byte> frame(bytes);
    uint32_t state = number * 2654435761u + 1;
    for (size_t i = header_bytes; i < bytes; ++i) {
        state = state * 1664525u + 1013904223u;
        frame[i] = static_cast<std::byte>(state >> 24);
    }
    if (bytes >= header_bytes + sizeof number) {
        std::memcpy(frame.data() + header_bytes, &number, sizeof number);
    }
    return frame;
}

// As the guest gets it: the device says how many buffers the frame takes.
inline std::vector<std::byte> in_buffers(std::vector<std::byte> frame, uint16_t num_buffers) {
    std::memcpy(frame.data() + num_buffers_offset, &num_buffers, sizeof num_buffers);
    return frame;
}

} // namespace tapline
