#include "tests/netns/tap_guest.h"

#include <stdexcept>

namespace tapline::netns {
namespace {

constexpr size_t header_bytes = 10;
constexpr size_t frame_room = 2000;

MacvtapDevice device_named(const std::string& name) {
    Netlink netlink = Netlink::open();
    return find_macvtap(netlink, name);
}

} // namespace

TapGuest::TapGuest(const std::string& device) : TapGuest(device_named(device)) {}

TapGuest::TapGuest(const MacvtapDevice& device)
    : mac_(device.mac.bytes()), queue_(TapQueue::open(TapNode::of(device))) {
    queue_.configure(VnetHeader::legacy, 0);
}

void TapGuest::send(const Bytes& frame) {
    const Bytes bytes = with_header(frame, header_bytes);
    if (write(queue_.fd(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
        throw std::runtime_error("the tap does not take a frame");
    }
}

std::optional<Bytes> TapGuest::receive(std::chrono::milliseconds limit) {
    if (!fakes::wait_readable(queue_.fd(), limit)) {
        return std::nullopt;
    }
    Bytes bytes(frame_room);
    const ssize_t size = read(queue_.fd(), bytes.data(), bytes.size());
    if (size < static_cast<ssize_t>(header_bytes)) {
        throw std::runtime_error("the tap gives no whole frame");
    }
    bytes.resize(static_cast<size_t>(size));
    return without_header(bytes, header_bytes);
}

} // namespace tapline::netns
