#include "tests/netns/frames.h"

#include <linux/if_ether.h>

#include <cstring>
#include <stdexcept>

namespace tapline::netns {

Bytes frame_between(const Mac& to, const Mac& from, uint32_t number, size_t bytes) {
    std::vector<uint8_t> frame(to.begin(), to.end());
    frame.insert(frame.end(), from.begin(), from.end());
    frame.insert(frame.end(), {local_experiment >> 8, local_experiment & 0xff});
    frame.resize(ETH_HLEN + sizeof number);
    std::memcpy(&frame[ETH_HLEN], &number, sizeof number);
    for (size_t i = frame.size(); i < bytes; ++i) {
        frame.push_back(static_cast<uint8_t>(number * 31 + number / 256 * 17 + i * 7));
    }
    const auto all = std::as_bytes(std::span(frame));
    return {all.begin(), all.end()};
}

Bytes frame_to_guest(uint32_t number, size_t bytes) {
    return frame_between(guest_mac, peer_mac, number, bytes);
}

Bytes frame_to_wire(uint32_t number, size_t bytes) {
    return frame_between(peer_mac, guest_mac, number, bytes);
}

uint32_t number_of(std::span<const std::byte> frame) {
    uint32_t number = 0;
    if (frame.size() < ETH_HLEN + sizeof number) {
        throw std::runtime_error("the frame is too short for a number");
    }
    std::memcpy(&number, &frame[ETH_HLEN], sizeof number);
    return number;
}

Bytes with_header(const Bytes& frame, size_t header_bytes) {
    Bytes all(header_bytes);
    all.insert(all.end(), frame.begin(), frame.end());
    return all;
}

Bytes without_header(const Bytes& frame, size_t header_bytes) {
    return {frame.begin() + static_cast<ptrdiff_t>(header_bytes), frame.end()};
}

} // namespace tapline::netns
