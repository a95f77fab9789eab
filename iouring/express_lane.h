// A second way from the pump to the device, for small frames: the transmit ring of a packet socket
// (PACKET_TX_RING). One system call sends all that a turn put there, for half of what writing each
// frame to the tap queue costs.
//
// It makes no difference to a frame. Either way the kernel reads the same virtio header by the same
// rules, sets the same fields of the packet, flow hash included, and passes it to dev_queue_xmit()
// of the device before the call returns (tap_get_user() in drivers/net/tap.c, tpacket_snd() in
// net/packet/af_packet.c). So the two ways may be mixed and no frame overtakes another.
#pragma once

#include "backend/base/unique_fd.h"
#include "backend/macvtap_device.h"

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace tapline {

class ExpressLane {
public:
    // Throws Error where kernel or device do not allow it. Needs CAP_NET_RAW, but only here.
    static std::unique_ptr<ExpressLane> open(const MacvtapDevice& device);
    ~ExpressLane();
    ExpressLane(const ExpressLane&) = delete;
    ExpressLane& operator=(const ExpressLane&) = delete;

    // Copies a frame with its virtio header, to go with the next send(). False: it is too long or
    // to be segmented, or there is no room. Parts hold so many bytes, more than the header has.
    bool add(std::span<const iovec> parts, size_t bytes, size_t header_bytes) noexcept;
    // How many of the frames added since, counted from the first, the kernel has taken as it takes
    // what is written to a tap queue. The lane forgets the others.
    unsigned send() noexcept;

private:
    struct Slot;
    ExpressLane(UniqueFd socket, Slot* slots);
    Slot& slot(unsigned number) const noexcept;

    UniqueFd socket_;
    Slot* const slots_;  // Mapped, shared with the kernel.
    unsigned first_ = 0; // The slot that the kernel looks at next.
    unsigned added_ = 0;
};

} // namespace tapline
