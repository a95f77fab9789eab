// The character device of a macvtap. Its number comes from sysfs and is never taken on trust.
#pragma once

#include "backend/base/unique_fd.h"
#include "backend/interface_spec.h"
#include "backend/macvtap_device.h"

namespace tapline {

// Opens the node of exactly this device: /dev/tapN where that is it, else a node made for the
// moment of opening. /dev is shared by all network namespaces, so /dev/tapN may be missing or
// belong to a device of the same index in another one.
UniqueFd open_tap_node(const MacvtapDevice& device);

// Throws Error where /dev/tapN is not this device's node.
void set_tap_node_owner(const MacvtapDevice& device, const Owner& owner);

} // namespace tapline
