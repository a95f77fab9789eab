// TCP and UDP in frames, with all, or only the beginning, of their checksums.
#pragma once

#include "tests/netns/frames.h"

#include <cstdint>
#include <string>

namespace tapline::netns {

enum class Ip : uint8_t { v4, v6 };
enum class Transport : uint8_t { tcp, udp };
// partial: the field holds the sum of the pseudo header, somebody else adds the rest.
enum class Checksum : uint8_t { complete, partial };

struct Packet {
    Mac to = guest_mac;
    Mac from = peer_mac;
    Ip ip = Ip::v4;
    Transport transport = Transport::tcp;
    Checksum checksum = Checksum::complete;
    uint16_t source_port = 1000;
    uint32_t sequence = 0; // Of TCP.
    Bytes payload;

    size_t transport_offset() const; // In the frame.
    size_t payload_offset() const;
    size_t checksum_offset() const { return transport == Transport::tcp ? 16 : 6; }
    Bytes frame() const;
};

// What a frame() holds. Throws where the frame is no such packet, or a checksum, partial if
// `checksum` says so, is wrong.
Packet parse(const Bytes& frame, Checksum checksum);

// virtio 1.2, 5.1.6; linux/virtio_net.h is not C++.
struct VirtioHeader {
    static constexpr uint8_t needs_checksum = 1;
    static constexpr uint8_t whole = 0; // Not to be segmented.
    static constexpr uint8_t tcp4 = 1;
    static constexpr uint8_t tcp6 = 4;

    uint8_t flags;
    uint8_t gso_type;
    uint16_t header_bytes;
    uint16_t gso_size;
    uint16_t checksum_start;
    uint16_t checksum_offset;
    uint16_t num_buffers;

    bool wants_checksum() const { return (flags & needs_checksum) != 0; }
};
static_assert(sizeof(VirtioHeader) == 12);

// A frame with the virtio header that says what is still to be done to it.
struct Offloaded {
    VirtioHeader header{};
    Bytes frame;

    // header_bytes: 12, or 10 without num_buffers.
    Bytes bytes(size_t header_bytes) const;
    static Offloaded from(const Bytes& bytes, size_t header_bytes);
    // As parse(), by what the header says of the checksum, which must be about the right field.
    Packet packet() const;
};

// For a packet with a partial checksum. gso_size 0: it is not to be segmented.
Offloaded offload(const Packet& packet, uint16_t gso_size);

} // namespace tapline::netns
