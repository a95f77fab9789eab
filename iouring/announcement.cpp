#include "iouring/announcement.h"

#include <linux/if_arp.h>

#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace tapline {
namespace {

constexpr uint16_t reverse_request = 3; // RFC 903

struct ReverseRequest {
    ethhdr ethernet;
    arphdr arp;
    uint8_t sender_station[ETH_ALEN];
    uint8_t sender_address[4];
    uint8_t target_station[ETH_ALEN];
    uint8_t target_address[4];
} __attribute__((packed));

} // namespace

std::array<std::byte, ETH_ZLEN> announcement_of(const MacAddress& station) {
    ReverseRequest request{};
    std::ranges::fill(request.ethernet.h_dest, uint8_t{0xff});
    request.ethernet.h_proto = htons(ETH_P_RARP);
    request.arp = {.ar_hrd = htons(ARPHRD_ETHER),
                   .ar_pro = htons(ETH_P_IP),
                   .ar_hln = ETH_ALEN,
                   .ar_pln = sizeof request.sender_address,
                   .ar_op = htons(reverse_request)};
    for (uint8_t* place :
         {request.ethernet.h_source, request.sender_station, request.target_station}) {
        std::ranges::copy(station.bytes(), place);
    }
    std::array<std::byte, ETH_ZLEN> frame{};
    std::memcpy(frame.data(), &request, sizeof request);
    return frame;
}

} // namespace tapline
