#include "backend/tap_queue.h"

#include "backend/base/error.h"

#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <climits>
#include <cstring>

#ifndef TUN_F_USO4 // Linux 6.2
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

namespace tapline {
namespace {

// The longest queue there is; a flood that goes on meanwhile is not worth waiting for.
constexpr unsigned discarded_frames_max = 65536;

template <typename Argument>
void set(int fd, unsigned long request, Argument argument, const char* what) {
    if (ioctl(fd, request, argument) < 0) {
        throw Error::from_errno(fmt::format("set {} of a tap queue", what));
    }
}

ifreq interface_of(int fd) {
    ifreq request{};
    if (ioctl(fd, TUNGETIFF, &request) < 0) {
        const int code = errno;
        throw Error::from_errno("ask a tap queue for its device",
                                code == ENOLINK  ? "the device was deleted"
                                : code == ENOTTY ? "the descriptor is no tap queue"
                                                 : "",
                                code);
    }
    return request;
}

// With the default a full socket buffer blocks writes, reorders batches and can hang for ever.
void lift_send_limit(int fd) {
    const int unlimited = INT_MAX;
    set(fd, TUNSETSNDBUF, &unlimited, "send buffer");
}

} // namespace

TapQueue TapQueue::open(const TapNode& node) {
    TapQueue queue(node.open());
    ifreq request{}; // The name is ignored: the node decides the device.
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
    set(queue.fd(), TUNSETIFF, &request, "flags");
    if (const std::string name = queue.device_name(); name != node.device_name()) {
        throw Error({.operation = fmt::format("open a queue of '{}'", node.device_name()),
                     .cause = fmt::format("its node belongs to '{}'", name)});
    }
    lift_send_limit(queue.fd());
    queue.configure(VnetHeader::v1, 0);
    return queue;
}

TapQueue TapQueue::adopt(UniqueFd fd) {
    TapQueue queue(std::move(fd));
    const ifreq request = interface_of(queue.fd());
    const auto flags = static_cast<unsigned short>(request.ifr_flags);
    if ((flags & IFF_TAP) == 0 || (flags & IFF_VNET_HDR) == 0) {
        throw Error({.operation = fmt::format("use descriptor {} as a tap queue", queue.fd()),
                     .cause = "it was opened without IFF_TAP or without IFF_VNET_HDR"});
    }
    ifreq attach{}; // Fails where it is attached already, and nothing else tells.
    attach.ifr_flags = IFF_ATTACH_QUEUE;
    (void)ioctl(queue.fd(), TUNSETQUEUE, &attach);
    lift_send_limit(queue.fd());
    queue.configure(VnetHeader::v1, 0);
    return queue;
}

std::string TapQueue::device_name() const {
    const ifreq request = interface_of(fd());
    return {request.ifr_name, strnlen(request.ifr_name, IFNAMSIZ)};
}

MacAddress TapQueue::mac() const {
    ifreq request{};
    if (ioctl(fd(), SIOCGIFHWADDR, &request) < 0) {
        throw Error::from_errno("ask a tap queue for its device's address");
    }
    MacAddress::Bytes bytes{};
    std::memcpy(bytes.data(), request.ifr_hwaddr.sa_data, bytes.size());
    return MacAddress(bytes);
}

std::optional<uint32_t> TapQueue::mtu() const {
    ifreq request = interface_of(fd());
    const UniqueFd any_socket(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!any_socket || ioctl(any_socket.get(), SIOCGIFMTU, &request) < 0) {
        return std::nullopt;
    }
    return static_cast<uint32_t>(request.ifr_mtu);
}

unsigned TapQueue::supported_offloads() {
    // The kernel knows no question but the attempt; each family needs checksums.
    unsigned supported = 0;
    for (const unsigned family :
         std::array<unsigned, 5>{TUN_F_CSUM, TUN_F_TSO4 | TUN_F_TSO6, TUN_F_TSO_ECN, TUN_F_UFO,
                                 TUN_F_USO4 | TUN_F_USO6}) {
        if (ioctl(fd(), TUNSETOFFLOAD, supported | family) == 0) {
            supported |= family;
        }
    }
    set(fd(), TUNSETOFFLOAD, 0UL, "offloads");
    return supported;
}

void TapQueue::configure(VnetHeader header, unsigned offloads) {
    const int header_bytes = static_cast<int>(header);
    const int little_endian = 1;
    set(fd(), TUNSETVNETHDRSZ, &header_bytes, "header size");
    set(fd(), TUNSETVNETLE, &little_endian, "header byte order");
    set(fd(), TUNSETOFFLOAD, static_cast<unsigned long>(offloads), "offloads");
    header_ = header;
}

void TapQueue::discard_waiting_frames() {
    std::array<std::byte, ETH_ZLEN> beginning; // The rest of a frame is cut off and gone.
    const iovec part{.iov_base = beginning.data(), .iov_len = beginning.size()};
    for (unsigned count = 0; count < discarded_frames_max; ++count) {
        if (preadv2(fd(), &part, 1, -1, RWF_NOWAIT) >= 0) {
            continue;
        }
        if (errno == EAGAIN) {
            return;
        }
        throw Error::from_errno("read a tap queue without blocking",
                                errno == EOPNOTSUPP ? "needs Linux 6.4 or newer" : "");
    }
}

void TapQueue::send(std::span<const std::byte> frame) {
    std::array<std::byte, static_cast<size_t>(VnetHeader::v1)> zeros{};
    const std::array<iovec, 2> parts{
        {{.iov_base = zeros.data(), .iov_len = static_cast<size_t>(header_)},
         {.iov_base = const_cast<std::byte*>(frame.data()), .iov_len = frame.size()}}};
    if (writev(fd(), parts.data(), parts.size()) < 0) {
        throw Error::from_errno(fmt::format("send a frame through '{}'", device_name()));
    }
}

void TapQueue::set_attached(bool attached) {
    if (attached == attached_) {
        return;
    }
    if (attached) {
        discard_waiting_frames(); // From before it was detached.
    }
    ifreq request{};
    request.ifr_flags = attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
    set(fd(), TUNSETQUEUE, &request, attached ? "attachment" : "detachment");
    attached_ = attached;
}

std::vector<TapQueue> open_queues(const MacvtapDevice& device, uint16_t count) {
    const TapNode node = TapNode::of(device);
    std::vector<TapQueue> queues;
    for (uint16_t i = 0; i < count; ++i) {
        queues.push_back(TapQueue::open(node));
    }
    return queues;
}

} // namespace tapline
