#include "iouring/bench/frame.h"

#include "backend/base/byte_order.h"
#include "backend/base/error.h"
#include "backend/base/number.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

namespace tapline::bench {
namespace {

constexpr size_t ip_offset = ETH_HLEN;
constexpr size_t transport_offset = ip_offset + sizeof(iphdr);
constexpr size_t udp_payload_offset = transport_offset + sizeof(udphdr);
constexpr size_t tcp_payload_offset = transport_offset + sizeof(tcphdr);
constexpr uint16_t segment_payload = 1448; // What a TCP with timestamps puts in 1500 bytes.
constexpr uint16_t discard_port = 9;
constexpr uint16_t first_flow_port = 1024;
constexpr uint32_t addresses = 0xc6120000; // 198.18.0.0/15: for measurements, RFC 2544.
static_assert(tcp_payload_offset == number_offset);

std::byte pattern_at(size_t offset) {
    return static_cast<std::byte>(offset * 7 + 3);
}

const std::vector<std::byte>& pattern() {
    static const std::vector<std::byte> bytes = [] {
        std::vector<std::byte> made(segment_bytes);
        for (size_t i = 0; i < made.size(); ++i) {
            made[i] = pattern_at(i);
        }
        return made;
    }();
    return bytes;
}

// Of the words of a header, in network order, folded (RFC 1071).
uint16_t sum_of(const void* bytes, size_t size, uint32_t sum = 0) {
    for (size_t i = 0; i + 1 < size; i += 2) {
        uint16_t word = 0;
        std::memcpy(&word, static_cast<const char*>(bytes) + i, sizeof word);
        sum += ntohs(word);
    }
    while (sum > UINT16_MAX) {
        sum = (sum & UINT16_MAX) + (sum >> 16U);
    }
    return static_cast<uint16_t>(sum);
}

iphdr ip_header(size_t ip_bytes, uint8_t protocol) {
    iphdr ip{};
    ip.version = 4;
    ip.ihl = sizeof ip / 4;
    ip.tot_len = htons(static_cast<uint16_t>(std::min<size_t>(ip_bytes, UINT16_MAX)));
    ip.ttl = 64;
    ip.protocol = protocol;
    ip.saddr = htonl(addresses + 1);
    ip.daddr = htonl(addresses + 2);
    ip.check = htons(static_cast<uint16_t>(~sum_of(&ip, sizeof ip)));
    return ip;
}

// What stands in a checksum that the device or the kernel shall complete.
uint16_t pseudo_sum(const iphdr& ip) {
    const auto length = static_cast<uint32_t>(ntohs(ip.tot_len) - sizeof ip);
    return htons(sum_of(&ip.saddr, 2 * sizeof ip.saddr, ip.protocol + length));
}

template <typename T> void put(std::vector<std::byte>& frame, size_t offset, const T& header) {
    std::memcpy(frame.data() + offset, &header, sizeof header);
}

void put_ethernet(std::vector<std::byte>& frame, const Path& path) {
    ethhdr ethernet{};
    std::ranges::copy(path.to.bytes(), ethernet.h_dest);
    std::ranges::copy(path.from.bytes(), ethernet.h_source);
    ethernet.h_proto = htons(ETH_P_IP);
    put(frame, 0, ethernet);
}

bool is_whole(std::span<const std::byte> frame) {
    constexpr size_t behind_number = number_offset + sizeof(uint32_t);
    if (frame.size() < frame_bytes_min || frame.size() > segment_bytes) {
        return false;
    }
    const auto same = [&](size_t begin, size_t end) {
        return std::memcmp(frame.data() + begin, pattern().data() + begin, end - begin) == 0;
    };
    iphdr ip{};
    std::memcpy(&ip, frame.data() + ip_offset, sizeof ip);
    return ip.saddr == htonl(addresses + 1) && frame.size() >= ip_offset + ntohs(ip.tot_len) &&
           same(behind_number, frame.size()) &&
           (ip.protocol == IPPROTO_TCP || same(udp_payload_offset, number_offset));
}

udphdr udp_header(size_t ip_bytes, uint16_t flow, uint16_t checksum) {
    udphdr udp{};
    udp.source = htons(static_cast<uint16_t>(first_flow_port + flow));
    udp.dest = htons(discard_port);
    udp.len = htons(static_cast<uint16_t>(ip_bytes - sizeof(iphdr)));
    udp.check = checksum;
    return udp;
}

} // namespace

Mix Mix::parse(const std::string& text) {
    if (text == "imix") {
        return {.sizes = {60, 60, 590, 60, 60, 590, 60, 590, 60, 60, 590, 1514}};
    }
    if (text == "64k") {
        return of(segment_bytes);
    }
    return of(parse_number("frame size", text, frame_bytes_min, plain_frame_bytes_max));
}

size_t Mix::largest() const {
    return *std::ranges::max_element(sizes);
}

double Mix::mean() const {
    return static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), size_t{0})) /
           static_cast<double>(sizes.size());
}

uint32_t Mix::mtu() const {
    return segmented()
               ? ETH_DATA_LEN
               : static_cast<uint32_t>(std::max<size_t>(ETH_DATA_LEN, largest() - ETH_HLEN));
}

std::vector<std::byte> make_frame(size_t bytes, const Path& path, uint16_t flow) {
    const bool segmented = bytes == segment_bytes;
    std::vector<std::byte> frame(pattern().begin(),
                                 pattern().begin() + static_cast<ptrdiff_t>(bytes));
    put_ethernet(frame, path);
    const size_t ip_bytes = bytes - ip_offset;
    const iphdr ip = ip_header(ip_bytes, segmented ? IPPROTO_TCP : IPPROTO_UDP);
    put(frame, ip_offset, ip);
    if (segmented) {
        tcphdr tcp{};
        tcp.source = htons(static_cast<uint16_t>(first_flow_port + flow));
        tcp.dest = htons(discard_port);
        tcp.doff = sizeof tcp / 4;
        tcp.ack = 1;
        tcp.check = pseudo_sum(ip);
        put(frame, transport_offset, tcp);
    } else {
        put(frame, transport_offset, udp_header(ip_bytes, flow, 0)); // Without a checksum.
    }
    set_number(frame.data(), 0);
    return frame;
}

VirtioNetHeader vnet_header_of(size_t frame_bytes) {
    VirtioNetHeader header{};
    if (frame_bytes == segment_bytes) {
        header.flags = VirtioNetHeader::needs_checksum;
        header.gso_type = VirtioNetHeader::gso_tcpv4;
        header.header_length = tcp_payload_offset;
        header.gso_size = segment_payload;
        header.checksum_start = transport_offset;
        header.checksum_offset = offsetof(tcphdr, check);
    }
    return header;
}

Burst make_burst(size_t frame_bytes, size_t count, const Path& path, uint16_t flow) {
    if (frame_bytes == segment_bytes) {
        count = 1;
    }
    const size_t payload = frame_bytes - udp_payload_offset;
    const size_t bytes = count == 1 ? frame_bytes : udp_payload_offset + count * payload;
    std::vector<std::byte> frame = make_frame(count == 1 ? frame_bytes : bytes, path, flow);
    VirtioNetHeader header = vnet_header_of(frame_bytes);
    if (count > 1) {
        const iphdr ip = ip_header(bytes - ip_offset, IPPROTO_UDP);
        put(frame, transport_offset, udp_header(bytes - ip_offset, flow, pseudo_sum(ip)));
        for (size_t i = 0; i < count; ++i) { // Each frame's pattern begins anew.
            std::ranges::copy(std::span(pattern()).subspan(udp_payload_offset, payload),
                              frame.begin() +
                                  static_cast<ptrdiff_t>(udp_payload_offset + i * payload));
        }
        header.flags = VirtioNetHeader::needs_checksum;
        header.gso_type = VirtioNetHeader::gso_udp_l4;
        header.header_length = static_cast<uint16_t>(bytes);
        header.gso_size = static_cast<uint16_t>(payload);
        header.checksum_start = transport_offset;
        header.checksum_offset = offsetof(udphdr, check);
    }
    // A packet socket takes the shorter header, without num_buffers.
    const auto* head = static_cast<const std::byte*>(static_cast<const void*>(&header));
    frame.insert(frame.begin(), head, head + short_vnet_header_bytes);
    return {.bytes = std::move(frame), .count = count, .number_distance = payload};
}

void set_number(std::byte* frame, uint32_t number) {
    const uint32_t stored = htonl(number);
    std::memcpy(frame + number_offset, &stored, sizeof stored);
}

void Inspector::look_at(std::span<const std::byte> frame) noexcept {
    ++looked_at_;
    if (!is_whole(frame)) {
        ++damaged_;
        return;
    }
    const auto read = [&](size_t offset, auto& value) {
        std::memcpy(&value, frame.data() + offset, sizeof value);
    };
    uint16_t port = 0;
    uint32_t number = 0;
    read(transport_offset, port); // The source comes first in either transport.
    read(number_offset, number);
    uint32_t& next = next_[static_cast<uint16_t>(ntohs(port) - first_flow_port) % flows_max];
    reordered_ += ntohl(number) < next ? 1 : 0;
    next = ntohl(number) + 1;
}

} // namespace tapline::bench
