// In place of a QEMU with `vhost=on`: gives the queue pair that `tapline exec --vhost` opened to
// the kernel's vhost-net and is the guest's driver of its rings. Asks the wire for an address,
// again and again, and ends when each time it was told.
//
//     vhost-net-guest {vhostfds} {fds} {mac}

#include "backend/base/error.h"
#include "backend/base/number.h"
#include "backend/mac_address.h"
#include "backend/tap_queue.h"
#include "tests/fakes/front_end.h"
#include "tests/fakes/guest_ram.h"
#include "tests/fakes/split_driver_ring.h"
#include "vhost/features.h"

#define VIRTIO_RING_NO_LEGACY // The rest of that header is not C++.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/vhost.h>
#include <net/ethernet.h>
#include <netinet/if_ether.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include <climits>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <utility>

namespace tapline {
namespace {

constexpr unsigned requests = 200; // More than once around the rings.
constexpr uint16_t ring_size = 64;
constexpr size_t area_bytes = 2048;
constexpr size_t header_bytes = 12;
constexpr const char* our_address = "198.51.100.2";
constexpr const char* peer_address = "198.51.100.1";

struct ArpFrame {
    ether_header ethernet;
    ether_arp arp;
};
static_assert(sizeof(ArpFrame) == 42);

using fakes::Buffer;
using vhost::Feature;

class VhostNet {
public:
    VhostNet(UniqueFd engine, TapQueue queue, const fakes::GuestRam& ram)
        : engine_(std::move(engine)), queue_(std::move(queue)) {
        queue_.configure(VnetHeader::v1, 0);
        control(VHOST_SET_OWNER, "VHOST_SET_OWNER");
        uint64_t features = bits(Feature::version_1, Feature::mrg_rxbuf, Feature::event_idx);
        control(VHOST_SET_FEATURES, "VHOST_SET_FEATURES", &features);
        struct {
            uint32_t regions = 1;
            uint32_t padding = 0;
            vhost_memory_region region{};
        } memory;
        static_assert(sizeof memory == sizeof(vhost_memory) + sizeof(vhost_memory_region));
        memory.region.guest_phys_addr = ram.region().guest_address;
        memory.region.memory_size = ram.size();
        memory.region.userspace_addr = ram.region().user_address;
        control(VHOST_SET_MEM_TABLE, "VHOST_SET_MEM_TABLE", &memory);
    }

    void start(unsigned index, const fakes::DriverRing& ring, int kick, int call) {
        vhost_vring_state size{.index = index, .num = ring.size()};
        control(VHOST_SET_VRING_NUM, "VHOST_SET_VRING_NUM", &size);
        vhost_vring_state base{.index = index, .num = 0};
        control(VHOST_SET_VRING_BASE, "VHOST_SET_VRING_BASE", &base);
        const vhost::VringAddresses places = ring.addresses(index);
        vhost_vring_addr addresses{.index = index,
                                   .flags = 0,
                                   .desc_user_addr = places.descriptors,
                                   .used_user_addr = places.used,
                                   .avail_user_addr = places.available,
                                   .log_guest_addr = 0};
        control(VHOST_SET_VRING_ADDR, "VHOST_SET_VRING_ADDR", &addresses);
        vhost_vring_file kick_file{.index = index, .fd = kick};
        control(VHOST_SET_VRING_KICK, "VHOST_SET_VRING_KICK", &kick_file);
        vhost_vring_file call_file{.index = index, .fd = call};
        control(VHOST_SET_VRING_CALL, "VHOST_SET_VRING_CALL", &call_file);
        vhost_vring_file backend{.index = index, .fd = queue_.fd()};
        control(VHOST_NET_SET_BACKEND, "VHOST_NET_SET_BACKEND", &backend);
    }

private:
    void control(unsigned long request, const char* name, void* argument = nullptr) {
        if (ioctl(engine_.get(), request, argument) < 0) {
            throw Error::from_errno(name);
        }
    }

    UniqueFd engine_;
    TapQueue queue_;
};

// A ring of which one chain is in use at a time.
class Lane {
public:
    Lane(VhostNet& net, unsigned index, fakes::GuestRam& ram)
        : ram_(ram), ring_(ram, ring_size, true), area_(ram.allocate(area_bytes, 64)) {
        net.start(index, ring_, kick_.get(), call_.get());
    }

    std::byte* area() { return ram_.at(area_); }

    void offer(size_t bytes, bool writable) {
        const Buffer buffer{
            .address = area_, .length = static_cast<uint32_t>(bytes), .writable = writable};
        ring_.add(std::span(&buffer, 1));
        if (ring_.kick_is_wanted()) {
            eventfd_write(kick_.get(), 1);
        }
    }

    // What was written into the area; waits for it.
    size_t used_bytes() {
        while (true) {
            if (const auto used = ring_.next_used()) {
                return used->length;
            }
            if (ring_.enable_calls()) {
                if (!fakes::wait_readable(call_.get())) {
                    throw std::runtime_error("vhost-net does not answer");
                }
                eventfd_t drained = 0;
                eventfd_read(call_.get(), &drained);
            }
        }
    }

private:
    fakes::GuestRam& ram_;
    fakes::SplitDriverRing ring_;
    uint64_t area_;
    UniqueFd kick_ = fakes::make_eventfd();
    UniqueFd call_ = fakes::make_eventfd();
};

ArpFrame request_from(const MacAddress& mac) {
    ArpFrame frame{};
    std::memset(frame.ethernet.ether_dhost, 0xff, ETH_ALEN);
    std::memcpy(frame.ethernet.ether_shost, mac.bytes().data(), ETH_ALEN);
    frame.ethernet.ether_type = htons(ETHERTYPE_ARP);
    frame.arp.ea_hdr = {.ar_hrd = htons(ARPHRD_ETHER),
                        .ar_pro = htons(ETHERTYPE_IP),
                        .ar_hln = ETH_ALEN,
                        .ar_pln = sizeof(in_addr),
                        .ar_op = htons(ARPOP_REQUEST)};
    std::memcpy(frame.arp.arp_sha, mac.bytes().data(), ETH_ALEN);
    inet_pton(AF_INET, our_address, frame.arp.arp_spa);
    inet_pton(AF_INET, peer_address, frame.arp.arp_tpa);
    return frame;
}

bool is_answer(const std::byte* frame, size_t bytes, const ArpFrame& request) {
    ArpFrame answer{};
    if (bytes < sizeof answer) {
        return false;
    }
    std::memcpy(&answer, frame, sizeof answer);
    return answer.ethernet.ether_type == request.ethernet.ether_type &&
           answer.arp.ea_hdr.ar_op == htons(ARPOP_REPLY) &&
           std::memcmp(answer.arp.arp_spa, request.arp.arp_tpa, sizeof(in_addr)) == 0;
}

void ask_for_peer(UniqueFd engine, TapQueue queue, const MacAddress& mac) {
    fakes::GuestRam ram(1 << 20);
    VhostNet net(std::move(engine), std::move(queue), ram);
    Lane receive(net, 0, ram);
    Lane transmit(net, 1, ram);
    const ArpFrame request = request_from(mac);
    receive.offer(area_bytes, true);
    for (unsigned i = 0; i < requests; ++i) {
        std::memset(transmit.area(), 0, header_bytes);
        std::memcpy(transmit.area() + header_bytes, &request, sizeof request);
        transmit.offer(header_bytes + sizeof request, false);
        bool answered = false;
        while (!answered) { // Whatever else there is on the wire comes, too.
            const size_t bytes = receive.used_bytes();
            answered = bytes > header_bytes &&
                       is_answer(receive.area() + header_bytes, bytes - header_bytes, request);
            receive.offer(area_bytes, true);
        }
        transmit.used_bytes();
    }
}

UniqueFd inherited(const char* number) {
    return UniqueFd(parse_number("descriptor", number, 3, INT_MAX));
}

} // namespace
} // namespace tapline

int main(int argc, char** argv) {
    using namespace tapline;
    try {
        if (argc != 4) {
            throw std::runtime_error("usage: vhost-net-guest VHOSTFD TAPFD MAC");
        }
        ask_for_peer(inherited(argv[1]), TapQueue::adopt(inherited(argv[2])),
                     MacAddress::parse(argv[3]));
    } catch (const std::exception& error) {
        fmt::print(stderr, "vhost-net-guest: {}\n", error.what());
        return 1;
    }
    return 0;
}
