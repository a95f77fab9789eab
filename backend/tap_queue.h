// One queue of a macvtap device: an open /dev/tapN that reads and writes whole frames, each
// preceded by a virtio-net header. Opening the node N times yields N queues (drivers/net/tap.c).
#pragma once

#include "backend/base/unique_fd.h"
#include "backend/mac_address.h"
#include "backend/tap_node.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tapline {

enum class VnetHeader : int { legacy = 10, v1 = 12 }; // Bytes in front of each frame.

class TapQueue {
public:
    static TapQueue open(const TapNode& node);
    // Takes over a tap queue another process opened. Throws Error for any other kind of fd.
    static TapQueue adopt(UniqueFd fd);

    int fd() const { return fd_.get(); } // Borrowed; lives as long as the queue.
    // Asked anew each time: devices can be renamed. Throws Error once the device is gone.
    std::string device_name() const;
    // The device's address as it is now.
    MacAddress mac() const;
    // Bytes its device carries behind an Ethernet header; nothing where the device is in another
    // network namespace.
    std::optional<uint32_t> mtu() const;

    // TUN_F_* bits the kernel takes for this queue, tried out one family after the other.
    unsigned supported_offloads();
    // After feature negotiation, before traffic.
    void configure(VnetHeader header, unsigned offloads);
    // Throws away what waits in the queue. Throws Error before Linux 6.4, where reading cannot but
    // block.
    void discard_waiting_frames();
    // One frame, without header, as a guest would send it. Throws Error where the kernel refuses.
    void send(std::span<const std::byte> frame);
    // A detached queue gets no frames; an attached one gets its share whether read or not.
    void set_attached(bool attached);

private:
    explicit TapQueue(UniqueFd fd) : fd_(std::move(fd)) {}

    UniqueFd fd_;
    VnetHeader header_ = VnetHeader::v1;
    bool attached_ = true;
};

std::vector<TapQueue> open_queues(const MacvtapDevice& device, uint16_t count);

} // namespace tapline
