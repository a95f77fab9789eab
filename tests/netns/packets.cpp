#include "tests/netns/packets.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <stdexcept>

namespace tapline::netns {
namespace {

constexpr size_t ipv4_bytes = 20;
constexpr size_t ipv6_bytes = 40;
constexpr size_t tcp_bytes = 20;
constexpr size_t udp_bytes = 8;
constexpr uint16_t destination_port = 2000;

void put16(Bytes& bytes, size_t offset, size_t value) {
    bytes.at(offset) = static_cast<std::byte>(value >> 8);
    bytes.at(offset + 1) = static_cast<std::byte>(value);
}

void put32(Bytes& bytes, size_t offset, uint32_t value) {
    put16(bytes, offset, value >> 16);
    put16(bytes, offset + 2, value & 0xffff);
}

uint16_t get16(const Bytes& bytes, size_t offset) {
    return static_cast<uint16_t>(std::to_integer<unsigned>(bytes.at(offset)) << 8 |
                                 std::to_integer<unsigned>(bytes.at(offset + 1)));
}

uint32_t get32(const Bytes& bytes, size_t offset) {
    return uint32_t{get16(bytes, offset)} << 16 | get16(bytes, offset + 2);
}

// RFC 1071, not complemented.
uint16_t sum(const Bytes& bytes, size_t begin, size_t end, uint64_t initial = 0) {
    uint64_t total = initial;
    for (size_t i = begin; i < end; ++i) {
        const auto byte = std::to_integer<uint64_t>(bytes.at(i));
        total += (i - begin) % 2 == 0 ? byte << 8 : byte;
    }
    while (total >> 16 != 0) {
        total = (total & 0xffff) + (total >> 16);
    }
    return static_cast<uint16_t>(total);
}

uint8_t protocol(Transport transport) {
    return transport == Transport::tcp ? IPPROTO_TCP : IPPROTO_UDP;
}

uint16_t pseudo_header_sum(const Packet& packet, const Bytes& frame) {
    const size_t length = frame.size() - packet.transport_offset();
    const size_t addresses = ETH_HLEN + (packet.ip == Ip::v4 ? 12 : 8);
    return sum(frame, addresses, packet.transport_offset(), length + protocol(packet.transport));
}

void put_ip(const Packet& packet, Bytes& frame) {
    const size_t ip = ETH_HLEN;
    const size_t length = frame.size() - packet.transport_offset();
    if (packet.ip == Ip::v4) {
        put16(frame, 12, ETH_P_IP);
        put16(frame, ip, 0x4500);
        put16(frame, ip + 2, ipv4_bytes + length);
        put16(frame, ip + 8, size_t{64} << 8 | protocol(packet.transport));
        put32(frame, ip + 12, 0xc0000201); // 192.0.2.1 to .2, RFC 5737.
        put32(frame, ip + 16, 0xc0000202);
        put16(frame, ip + 10, static_cast<uint16_t>(~sum(frame, ip, ip + ipv4_bytes)));
        return;
    }
    put16(frame, 12, ETH_P_IPV6);
    put32(frame, ip, 0x60000000);
    put16(frame, ip + 4, length);
    put16(frame, ip + 6, size_t{protocol(packet.transport)} << 8 | 64);
    put32(frame, ip + 8, 0x20010db8); // 2001:db8::1 to ::2, RFC 3849.
    put32(frame, ip + 20, 1);
    put32(frame, ip + 24, 0x20010db8);
    put32(frame, ip + 36, 2);
}

void require(bool holds, const char* what) {
    if (!holds) {
        throw std::runtime_error(std::string("a received packet is wrong: ") + what);
    }
}

} // namespace

size_t Packet::transport_offset() const {
    return ETH_HLEN + (ip == Ip::v4 ? ipv4_bytes : ipv6_bytes);
}

size_t Packet::payload_offset() const {
    return transport_offset() + (transport == Transport::tcp ? tcp_bytes : udp_bytes);
}

Bytes Packet::frame() const {
    Bytes all(payload_offset());
    std::ranges::copy(std::as_bytes(std::span(to)), all.begin());
    std::ranges::copy(std::as_bytes(std::span(from)), all.begin() + ETH_ALEN);
    all.insert(all.end(), payload.begin(), payload.end());
    put_ip(*this, all);
    const size_t at = transport_offset();
    put16(all, at, source_port);
    put16(all, at + 2, destination_port);
    if (transport == Transport::tcp) {
        put32(all, at + 4, sequence);
        put16(all, at + 12, 0x5010); // Five words of header, an acknowledgement.
        put16(all, at + 14, 0xffff);
    } else {
        put16(all, at + 4, all.size() - at);
    }
    const uint16_t pseudo = pseudo_header_sum(*this, all);
    put16(all, at + checksum_offset(),
          checksum == Checksum::partial ? pseudo
                                        : static_cast<uint16_t>(~sum(all, at, all.size(), pseudo)));
    return all;
}

Packet parse(const Bytes& frame, Checksum checksum) {
    Packet packet;
    const uint16_t type = get16(frame, 12);
    require(type == ETH_P_IP || type == ETH_P_IPV6, "its ethertype");
    packet.ip = type == ETH_P_IP ? Ip::v4 : Ip::v6;
    const auto number = std::to_integer<uint8_t>(frame.at(packet.ip == Ip::v4 ? 23 : 20));
    require(number == IPPROTO_TCP || number == IPPROTO_UDP, "its protocol");
    packet.transport = number == IPPROTO_TCP ? Transport::tcp : Transport::udp;
    packet.checksum = checksum;

    const size_t at = packet.transport_offset();
    if (packet.ip == Ip::v4) {
        require(get16(frame, ETH_HLEN + 2) == frame.size() - ETH_HLEN, "its IPv4 length");
        require(sum(frame, ETH_HLEN, at) == 0xffff, "its IPv4 checksum");
    } else {
        require(get16(frame, ETH_HLEN + 4) == frame.size() - at, "its IPv6 length");
    }
    const uint16_t pseudo = pseudo_header_sum(packet, frame);
    const bool right = checksum == Checksum::partial
                           ? get16(frame, at + packet.checksum_offset()) == pseudo
                           : sum(frame, at, frame.size(), pseudo) == 0xffff;
    require(right, "its checksum");
    packet.source_port = get16(frame, at);
    packet.sequence = packet.transport == Transport::tcp ? get32(frame, at + 4) : 0;
    packet.payload = without_header(frame, packet.payload_offset());
    return packet;
}

Bytes Offloaded::bytes(size_t header_bytes) const {
    const auto all = std::as_bytes(std::span(&header, 1)).first(header_bytes);
    Bytes result(all.begin(), all.end());
    result.insert(result.end(), frame.begin(), frame.end());
    return result;
}

Offloaded Offloaded::from(const Bytes& bytes, size_t header_bytes) {
    Offloaded result;
    require(bytes.size() >= header_bytes, "it is shorter than its virtio header");
    std::memcpy(&result.header, bytes.data(), header_bytes);
    result.frame = without_header(bytes, header_bytes);
    return result;
}

Packet Offloaded::packet() const {
    const bool partial = header.wants_checksum();
    Packet parsed = parse(frame, partial ? Checksum::partial : Checksum::complete);
    if (partial) {
        require(header.checksum_start == parsed.transport_offset(), "its checksum_start");
        require(header.checksum_offset == parsed.checksum_offset(), "its checksum_offset");
    }
    return parsed;
}

Offloaded offload(const Packet& packet, uint16_t gso_size) {
    Offloaded result;
    result.frame = packet.frame();
    result.header.flags = VirtioHeader::needs_checksum;
    result.header.checksum_start = static_cast<uint16_t>(packet.transport_offset());
    result.header.checksum_offset = static_cast<uint16_t>(packet.checksum_offset());
    if (gso_size > 0) {
        result.header.gso_type = packet.ip == Ip::v4 ? VirtioHeader::tcp4 : VirtioHeader::tcp6;
        result.header.header_bytes = static_cast<uint16_t>(packet.payload_offset());
        result.header.gso_size = gso_size;
    }
    return result;
}

} // namespace tapline::netns
