// The control side of one virtqueue: what messages have said of it. Main thread only.
#pragma once

#include "backend/base/unique_fd.h"
#include "vhost/protocol.h"

#include <cstdint>
#include <optional>

namespace tapline::vhost {

// stopped --SET_VRING_KICK--> started; started --GET_VRING_BASE, fault, end of session--> stopped.
// A started ring runs once its size, addresses and memory are known. Then it moves frames while it
// is enabled; a disabled guest-to-wire ring is emptied without sending (vhost-user.rst, "Ring
// states").
struct Vring {
    uint32_t size = 0; // Entries; 0 until SET_VRING_NUM.
    // Next entry to take: an index, or for a packed ring both positions with their wrap counters
    // (vhost-user.rst, "Vring descriptor indices for packed virtqueues"). Current only while no
    // worker has the ring; none until SET_VRING_BASE or a stop.
    std::optional<uint32_t> base;
    std::optional<VringAddresses> addresses;
    UniqueFd kick;            // May be absent: the device polls.
    UniqueFd call;            // May be absent: the driver polls.
    bool call_is_new = false; // The last call may have gone to the one before, unheard.
    UniqueFd error;
    bool started = false;
    bool enabled = false;
    bool set_up_since_kick = false; // SET_VRING_KICK came first; this goes on until it is enabled.
    // The front end keeps track of what a back end that died had in flight: it is to be done again.
    bool inflight_is_tracked = false;
    // Memory was taken from under it, or is yet to come: it runs while its memory is there, and
    // else waits.
    bool may_wait_for_memory = false;
};

} // namespace tapline::vhost
