// The interface that devices are made on.
#pragma once

#include "backend/interface_spec.h"
#include "backend/netlink.h"

#include <string>

namespace tapline {

// Throws Error where there is none of that name, or the device could not stand on it.
Link find_parent(Netlink& netlink, const InterfaceSpec& spec);

// Why the kernel refused a device with this errno and what to do; names who is in the way.
std::string next_step(Netlink& netlink, const InterfaceSpec& spec, const Link& parent, int code);

} // namespace tapline
