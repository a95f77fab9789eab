#include "iouring/express_lane.h"

#include "backend/base/byte_order.h"
#include "backend/base/error.h"
#include "iouring/iovec_copy.h"

#include <fmt/format.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <vector>

namespace tapline {
namespace {

// virtio 1.2, 5.1.6, without num_buffers; linux/virtio_net.h is not C++. A packet socket wants the
// numbers in the host's byte order, the guest gives them little-endian.
template <typename Number> struct VirtioHeader {
    static constexpr uint8_t needs_checksum = 1;

    uint8_t flags;
    uint8_t gso_type;
    Number header_bytes;
    Number gso_size;
    Number checksum_start;
    Number checksum_offset;
};
using GuestHeader = VirtioHeader<Le16>;
using HostHeader = VirtioHeader<uint16_t>;
static_assert(sizeof(GuestHeader) == 10 && sizeof(HostHeader) == 10);

// Two turns, as a network card gives a slot back only once its frame is on the wire.
constexpr unsigned slot_count = 128;
constexpr size_t slot_bytes = 2048;
constexpr size_t ring_bytes = slot_count * slot_bytes;

constexpr size_t frame_offset = TPACKET_ALIGN(sizeof(tpacket2_hdr)) + sizeof(HostHeader);
constexpr size_t frame_bytes_max = slot_bytes - frame_offset;
// What a guest's header has more than a packet socket's lies on padding while it is copied.
static_assert(offsetof(tpacket2_hdr, tp_padding) + sizeof(uint16_t) + sizeof(GuestHeader) <=
              frame_offset);

std::string opening(const MacvtapDevice& device) {
    return fmt::format("open the express lane of '{}'", device.name);
}

void set(int socket, int option, const void* value, socklen_t size, const MacvtapDevice& device) {
    if (setsockopt(socket, SOL_PACKET, option, value, size) < 0) {
        throw Error::from_errno(opening(device));
    }
}

UniqueFd open_socket(const MacvtapDevice& device) {
    UniqueFd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    if (!fd) {
        throw Error::from_errno(opening(device), errno == EPERM ? "needs CAP_NET_RAW" : "");
    }
    sockaddr_ll address{}; // Of no protocol: it receives nothing.
    address.sll_family = AF_PACKET;
    address.sll_ifindex = device.index;
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
        throw Error::from_errno(opening(device));
    }
    const int on = 1;
    set(fd.get(), PACKET_VNET_HDR, &on, sizeof on, device);
    return fd;
}

// The kernel looks for the network header behind the device's own, which for some parents (a VLAN
// without offload) is longer than Ethernet's; there the flow hash would be another one than that of
// a frame written to the tap. How long it is shows only in what is refused: with Ethernet's, a
// frame of one byte more than it may have is too long. With a longer one it is not, but has a
// checksum where none can be.
void check_network_header(int socket, const MacvtapDevice& device) {
    const HostHeader header{.flags = HostHeader::needs_checksum,
                            .gso_type = 0,
                            .header_bytes = 0,
                            .gso_size = 0,
                            .checksum_start = 0,
                            .checksum_offset = 0};
    std::vector<std::byte> frame(sizeof header + ETH_HLEN + device.mtu + 1);
    std::memcpy(frame.data(), &header, sizeof header);
    if (send(socket, frame.data(), frame.size(), MSG_DONTWAIT) >= 0 || errno == EINVAL) {
        throw Error({.operation = opening(device),
                     .cause = "its frames begin with more than an Ethernet header"});
    }
    if (errno != EMSGSIZE) {
        throw Error::from_errno(opening(device), errno == ENETDOWN ? "bring it up" : "");
    }
}

} // namespace

struct ExpressLane::Slot {
    tpacket2_hdr header;
    std::array<std::byte, slot_bytes - sizeof(tpacket2_hdr)> rest;

    std::byte* frame() { return std::as_writable_bytes(std::span(this, 1)).data() + frame_offset; }

    // Also the kernel's, which changes it whenever a frame is on the wire.
    std::atomic_ref<uint32_t> status() { return std::atomic_ref(header.tp_status); }
    bool is_free() { return status().load(std::memory_order_acquire) == TP_STATUS_AVAILABLE; }
    bool is_left() {
        constexpr uint32_t left = TP_STATUS_SEND_REQUEST | TP_STATUS_WRONG_FORMAT;
        return (status().load(std::memory_order_acquire) & left) != 0;
    }
    bool is_refused() {
        return (status().load(std::memory_order_relaxed) & TP_STATUS_WRONG_FORMAT) != 0;
    }
    void set(uint32_t value) { status().store(value, std::memory_order_release); }
};

std::unique_ptr<ExpressLane> ExpressLane::open(const MacvtapDevice& device) {
    if (device.kind != DeviceKind::macvtap) {
        throw Error({.operation = opening(device), .cause = "the device is no macvtap"});
    }
    UniqueFd socket = open_socket(device);
    check_network_header(socket.get(), device);
    const int version = TPACKET_V2;
    set(socket.get(), PACKET_VERSION, &version, sizeof version, device);
    const auto page = static_cast<unsigned>(sysconf(_SC_PAGESIZE));
    const tpacket_req request{.tp_block_size = page,
                              .tp_block_nr = static_cast<unsigned>(ring_bytes / page),
                              .tp_frame_size = slot_bytes,
                              .tp_frame_nr = slot_count};
    static_assert(sizeof(Slot) == slot_bytes);
    set(socket.get(), PACKET_TX_RING, &request, sizeof request, device);
    void* slots = mmap(nullptr, ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, socket.get(), 0);
    if (slots == MAP_FAILED) {
        throw Error::from_errno(opening(device));
    }
    return std::unique_ptr<ExpressLane>(
        new ExpressLane(std::move(socket), static_cast<Slot*>(slots)));
}

ExpressLane::ExpressLane(UniqueFd socket, Slot* slots)
    : socket_(std::move(socket)), slots_(slots) {}

ExpressLane::~ExpressLane() {
    munmap(slots_, ring_bytes);
}

ExpressLane::Slot& ExpressLane::slot(unsigned number) const noexcept {
    return slots_[number % slot_count];
}

bool ExpressLane::add(std::span<const iovec> parts, size_t bytes, size_t header_bytes) noexcept {
    const size_t frame_bytes = bytes - header_bytes;
    Slot& into = slot(first_ + added_);
    if (frame_bytes > frame_bytes_max || !into.is_free()) {
        return false;
    }
    // Here the guest can no longer change it.
    std::byte* const begin = into.frame() - header_bytes;
    copy_from_parts(parts, {begin, bytes});
    GuestHeader guest;
    std::memcpy(&guest, begin, sizeof guest);
    if (guest.gso_type != 0 || guest.header_bytes > frame_bytes) {
        return false;
    }
    // As much as the header is long the kernel copies at once. Of all, nothing stays in the slot,
    // and the packet is as one from a tap queue.
    const HostHeader host{.flags = guest.flags,
                          .gso_type = guest.gso_type,
                          .header_bytes = static_cast<uint16_t>(frame_bytes),
                          .gso_size = guest.gso_size,
                          .checksum_start = guest.checksum_start,
                          .checksum_offset = guest.checksum_offset};
    std::memcpy(into.frame() - sizeof host, &host, sizeof host);
    into.header.tp_len = static_cast<uint32_t>(sizeof host + frame_bytes);
    into.set(TP_STATUS_SEND_REQUEST);
    ++added_;
    return true;
}

unsigned ExpressLane::send() noexcept {
    unsigned sent = 0;
    unsigned lost = 0;
    if (added_ > 0) {
        const int error = ::send(socket_.get(), nullptr, 0, MSG_DONTWAIT) < 0 ? errno : 0;
        while (sent < added_ && !slot(first_ + sent).is_left()) {
            ++sent;
        }
        // The kernel stops at a frame that is dropped on its way, by a queue that is full or an
        // interface that is down. To the tap it would have said nothing. Other errors come before
        // it tries: no memory for it yet (EAGAIN), no device any more (ENXIO).
        if (error != 0 && error != EAGAIN && error != ENXIO && sent < added_ &&
            !slot(first_ + sent).is_refused()) {
            lost = 1;
        }
    }
    for (unsigned i = sent; i < added_; ++i) {
        slot(first_ + i).set(TP_STATUS_AVAILABLE);
    }
    first_ = (first_ + sent) % slot_count;
    added_ = 0;
    return sent + lost;
}

} // namespace tapline
