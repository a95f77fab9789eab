// What a guest's card shall take, as its driver told QEMU, and what of that its device may follow.
#pragma once

#include "backend/device_filter.h"

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <set>
#include <string>

namespace tapline::libvirt {

struct RxFilter {
    std::optional<MacAddress> mac; // Absent: the guest chose one that no station may have.
    // Also of a card that is not virtio, or whose driver is not there or cannot tell.
    bool wants_all_groups = false;
    std::set<MacAddress> groups;
};

// Of what query-rx-filter returns for one card. Throws Error for what QEMU would not say.
RxFilter parse_rx_filter(const nlohmann::json& cards);

// What the owner of a guest allows it.
struct FilterPolicy {
    MulticastPolicy multicast{};
    bool trusts_mac = false;
};

// What is missing for the device to be as the guest wants it, as far as it may.
FilterChange plan_change(const RxFilter& guest, const FilterPolicy& policy,
                         const DeviceFilter& device);

// For people.
std::string to_text(const FilterChange& change);

} // namespace tapline::libvirt
