// Frames that carry a number and a pattern, so that whoever receives one can tell whether it is
// whole and which it is. UDP up to the largest MTU, TCP where a segment is to be left whole.
#pragma once

#include "backend/mac_address.h"
#include "iouring/bench/vnet_header.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tapline::bench {

constexpr size_t frame_bytes_min = 60; // Without the four of the checksum, as everywhere here.
constexpr size_t plain_frame_bytes_max = 9014;
constexpr size_t segment_bytes = 65214; // 45 full segments: the most that Linux leaves whole.
constexpr uint16_t flows_max = 256;

// Which frames are sent, in turn.
struct Mix {
    std::vector<size_t> sizes; // Bytes of Ethernet.

    // A number of bytes, "64k", which is a segment, or "imix": 7 of 60, 4 of 590, 1 of 1514.
    // Throws Error.
    static Mix parse(const std::string& text);
    static Mix of(size_t bytes) { return {.sizes = {bytes}}; }

    // TCP segments that the other side shall get whole.
    bool segmented() const { return sizes.front() == segment_bytes; }
    size_t largest() const;
    double mean() const;
    uint32_t mtu() const; // Of devices that take each of them.
};

struct Path {
    MacAddress from;
    MacAddress to;
};

// A frame of a flow; flows differ in a port, so that they come to different queues.
std::vector<std::byte> make_frame(size_t bytes, const Path& path, uint16_t flow);
// What goes before it: all zero but for a segment.
VirtioNetHeader vnet_header_of(size_t frame_bytes);

// UDP frames in one piece that the kernel makes of it when it needs to: as many as `count` of
// `frame_bytes`, all of one flow. Each has its own number, `number_distance` behind the last's.
struct Burst {
    std::vector<std::byte> bytes; // With a virtio header in front.
    size_t count;
    size_t number_distance;
};
Burst make_burst(size_t frame_bytes, size_t count, const Path& path, uint16_t flow);

constexpr size_t number_offset = 54; // In a frame; behind the headers of either kind.
void set_number(std::byte* frame, uint32_t number);

// Looks at frames of one place, in the order in which they come there.
class Inspector {
public:
    void look_at(std::span<const std::byte> frame) noexcept;

    uint64_t looked_at() const { return looked_at_; }
    uint64_t damaged() const { return damaged_; }     // Changed, cut off, or none of ours.
    uint64_t reordered() const { return reordered_; } // Within their flow.

private:
    uint64_t looked_at_ = 0;
    uint64_t damaged_ = 0;
    uint64_t reordered_ = 0;
    std::array<uint32_t, flows_max> next_{}; // Least number by flow.
};

} // namespace tapline::bench
