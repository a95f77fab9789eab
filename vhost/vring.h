// The control side of one virtqueue: what messages have said of it. Main thread only.
#pragma once

#include "backend/base/unique_fd.h"
#include "vhost/protocol.h"

#include <cstdint>
#include <optional>

namespace tapline::vhost {

// stopped --SET_VRING_KICK--> started; started --GET_VRING_BASE, fault, end of session--> stopped.
// A started ring moves frames while it is enabled; a started, disabled guest-to-wire ring is
// emptied without sending (vhost-user.rst, "Ring states").
struct Vring {
    uint32_t size = 0; // Entries; 0 until SET_VRING_NUM.
    uint16_t base = 0; // Next available entry to take; current only while no worker has the ring.
    std::optional<VringAddresses> addresses;
    UniqueFd kick;
    UniqueFd call; // May be absent: the driver polls.
    UniqueFd error;
    bool started = false;
    bool enabled = false;
};

} // namespace tapline::vhost
