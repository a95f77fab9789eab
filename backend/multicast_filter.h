// Keeps every multicast group from a device, for good: without one, the kernel itself joins some
// (224.0.0.1, ff02::1) and others pass by chance, as it compares groups by an 8-bit hash.
#pragma once

#include "backend/macvtap_device.h"

namespace tapline {

// Before the device is up. Broadcast still arrives. The filter goes with the device. Throws Error
// where the kernel has no such filters.
void add_multicast_filter(Netlink& netlink, const MacvtapDevice& device);

} // namespace tapline
