// Frames whose every byte follows from a number, and the virtio headers in front of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tapline::netns {

using Bytes = std::vector<std::byte>;
using Mac = std::array<uint8_t, 6>;

constexpr Mac guest_mac = {0x52, 0x54, 0, 0, 0, 1};
constexpr Mac peer_mac = {0x52, 0x54, 0, 0, 0, 2};
constexpr size_t frame_bytes_min = 60; // What Ethernet carries at least.

// Of an ethertype the host has no use for; begins with its number.
constexpr uint16_t local_experiment = 0x88b5; // IEEE 802a.
Bytes frame_between(const Mac& to, const Mac& from, uint32_t number,
                    size_t bytes = frame_bytes_min);
Bytes frame_to_guest(uint32_t number, size_t bytes = frame_bytes_min);
Bytes frame_to_wire(uint32_t number, size_t bytes = frame_bytes_min);
// Of a frame without virtio header.
uint32_t number_of(std::span<const std::byte> frame);

// In front of a frame comes a header of so many bytes, all zeros.
Bytes with_header(const Bytes& frame, size_t header_bytes);
Bytes without_header(const Bytes& frame, size_t header_bytes);

} // namespace tapline::netns
