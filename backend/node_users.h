// The processes that have a device's node open.
#pragma once

#include "backend/macvtap_device.h"

#include <sys/types.h>

#include <optional>
#include <string>

namespace tapline {

struct NodeUser {
    std::string program;
    pid_t pid;
};

// The first there is among the processes that /proc shows. Throws Error where one cannot be looked
// into, and where sysfs does not show the device.
std::optional<NodeUser> find_node_user(const MacvtapDevice& device);

} // namespace tapline
