#include "backend/announce.h"

#include "backend/base/unique_fd.h"

#include <linux/if_packet.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace tapline {
namespace {

// RFC 5227, 3: a request for the address that one has.
void announce_by_arp(const IpPrefix& address, const MacAddress& mac, int link) {
    ether_arp arp{};
    arp.arp_hrd = htons(ARPHRD_ETHER);
    arp.arp_pro = htons(ETHERTYPE_IP);
    arp.arp_hln = sizeof arp.arp_sha;
    arp.arp_pln = sizeof arp.arp_spa;
    arp.arp_op = htons(ARPOP_REQUEST);
    std::ranges::copy(mac.bytes(), arp.arp_sha);
    std::copy_n(address.bytes().begin(), sizeof arp.arp_spa, arp.arp_spa);
    std::copy_n(address.bytes().begin(), sizeof arp.arp_tpa, arp.arp_tpa);
    sockaddr_ll all{.sll_family = AF_PACKET,
                    .sll_protocol = htons(ETHERTYPE_ARP),
                    .sll_ifindex = link,
                    .sll_halen = ETHER_ADDR_LEN};
    std::fill_n(all.sll_addr, ETHER_ADDR_LEN, uint8_t{0xff});
    const UniqueFd sender(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    (void)sendto(sender.get(), &arp, sizeof arp, MSG_DONTWAIT,
                 reinterpret_cast<const sockaddr*>(&all), sizeof all);
}

struct NeighbourAdvertisement {
    nd_neighbor_advert head;
    nd_opt_hdr option;
    MacAddress::Bytes mac;
};
static_assert(sizeof(NeighbourAdvertisement) == 32, "the option is 8 bytes long");

// RFC 4861, 7.2.6. The kernel fills in the checksum.
void announce_by_advertisement(const IpPrefix& address, const MacAddress& mac, int link) {
    NeighbourAdvertisement advertisement{
        .option = {.nd_opt_type = ND_OPT_TARGET_LINKADDR, .nd_opt_len = 1}, .mac = mac.bytes()};
    advertisement.head.nd_na_type = ND_NEIGHBOR_ADVERT;
    advertisement.head.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE;
    sockaddr_in6 from{.sin6_family = AF_INET6};
    std::memcpy(&from.sin6_addr, address.bytes().data(), sizeof from.sin6_addr);
    advertisement.head.nd_na_target = from.sin6_addr;
    const sockaddr_in6 all{.sin6_family = AF_INET6,
                           .sin6_addr = {{{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}},
                           .sin6_scope_id = static_cast<uint32_t>(link)};
    const UniqueFd sender(socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6));
    const int hops = 255; // Less would show that it came through a router, which is ignored.
    (void)setsockopt(sender.get(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops);
    (void)setsockopt(sender.get(), IPPROTO_IPV6, IPV6_MULTICAST_IF, &link, sizeof link);
    (void)bind(sender.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from);
    (void)sendto(sender.get(), &advertisement, sizeof advertisement, MSG_DONTWAIT,
                 reinterpret_cast<const sockaddr*>(&all), sizeof all);
}

} // namespace

void announce(const IpPrefix& address, const MacAddress& mac, int link) {
    if (address.family() == IpFamily::v4) {
        announce_by_arp(address, mac, link);
    } else {
        announce_by_advertisement(address, mac, link);
    }
}

} // namespace tapline
