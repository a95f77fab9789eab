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

// Device, node and pump. What of it is there already, as the same plan made it, stays; leftovers
// of another one go. Nothing is left where it throws Error.
MadeInterface make_interface(Netlink& netlink, const InterfacePlan& plan);
// Whether the device is there, as make_interface() makes it.
bool has_device(Netlink& netlink, const InterfacePlan& plan);
// Goes on where it is gone already, and with the rest where something fails. Throws Error then.
void remove_interface(Netlink& netlink, const MadeInterface& made);

} // namespace tapline::hooks
