// The steps of devices' lives, timed, in each way they can be taken.
#pragma once

#include "backend/netlink.h"
#include "iouring/bench/bare_devices.h"

#include <string>

namespace tapline::bench {

// Of one device with queues; in microseconds, as all times here.
struct Life {
    double create_us;
    double open_us;
    double delete_us; // With the close of the queues.

    double total_us() const { return create_us + open_us + delete_us; }
};

Life live(Netlink& netlink, const std::string& parent, unsigned queues);
Life live(BareDevices& bare, unsigned queues);

// Of many devices that are there at the same time: microseconds a device.
struct Crowd {
    double create_us;
    double list_us;
    double delete_us;
};

Crowd crowd(Netlink& netlink, const std::string& parent, unsigned count);
Crowd crowd(BareDevices& bare, unsigned count);
// By a process for each device that is created, one for the list and one for the deletions.
Crowd crowd(const std::string& program, const std::string& parent, unsigned count);

} // namespace tapline::bench
