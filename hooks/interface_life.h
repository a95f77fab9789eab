// Making and removing all that one interface of a guest needs on its host.
#pragma once

#include "backend/netlink.h"
#include "hooks/interface_plan.h"

#include <string>
#include <vector>

namespace tapline::hooks {

// What is written down before it is made, so that it can be removed whatever happens.
struct MadeInterface {
    std::string device;
    std::string socket; // Empty without a pump.
    std::string description;
    uint32_t record_id = 0; // Of the device's own record; 0 until it is made.

    static MadeInterface of(const InterfacePlan& plan);
};

// Device, node and pump. What of it is there already stays. Where it throws Error nothing that it
// made is left.
MadeInterface make_interface(Netlink& netlink, const InterfacePlan& plan);
// Whether the device is there, made to its end.
bool has_device(Netlink& netlink, const std::string& name);
// And on the parent that the plan means, by whatever name.
bool has_planned_device(Netlink& netlink, const InterfacePlan& plan);
// Pump and device. Goes on where they are gone already, and with the rest where something fails.
// Throws Error then.
void take_down(Netlink& netlink, const MadeInterface& made);
// The socket, too: for a guest that runs, QEMU listens there.
void remove_interface(Netlink& netlink, const MadeInterface& made);

} // namespace tapline::hooks
