// Which frames a macvtap takes from its parent besides broadcast: those to its address and to the
// multicast groups that were joined for its guest. The kernel joins some more for itself.
#pragma once

#include "backend/macvtap_device.h"

#include <optional>
#include <set>
#include <string>

namespace tapline {

struct DeviceFilter {
    MacAddress mac;
    bool all_groups; // IFF_ALLMULTI
    std::set<MacAddress> groups;
};

struct FilterChange {
    std::optional<MacAddress> mac;  // Absent: as it is.
    std::optional<bool> all_groups; // Absent: as it is.
    std::set<MacAddress> join;
    std::set<MacAddress> leave;

    bool empty() const { return !mac && !all_groups && join.empty() && leave.empty(); }
};

// Nothing where the device is gone. Throws Error, as the next does.
std::optional<DeviceFilter> read_device_filter(Netlink& netlink, const MacvtapDevice& device);
// All of it that can be done; throws for the first part that was refused.
void change_device_filter(Netlink& netlink, const MacvtapDevice& device,
                          const FilterChange& change);

// The groups that /proc/net/dev_mcast, given as text, says were joined by request.
std::set<MacAddress> parse_joined_groups(const std::string& text, int device_index);

} // namespace tapline
