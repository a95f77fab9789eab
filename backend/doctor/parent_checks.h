// Whether an interface can be the parent of macvtap devices, and what limits them on it.
#pragma once

#include "backend/doctor/check.h"
#include "backend/doctor/host.h"
#include "backend/macvtap_device.h"
#include "backend/netlink.h"

#include <cstdint>
#include <optional>
#include <string>

namespace tapline::doctor {

struct Parent {
    std::string name; // Not an alternative one.
    std::string kind; // In the kernel's words, such as "tun"; empty for hardware.
    bool ethernet = true;
    bool up = true;
    bool carrier = true;
    bool wireless = false;
    bool lro = false; // Large receive offload is on.
    uint32_t mtu = 1500;
    // Of a macvtap, macvlan or their like its own parent; empty in another network namespace.
    std::optional<std::string> stands_on = {};
    std::string master = {}; // The bridge, bond or VRF it belongs to.
    std::string master_kind = {};
    std::optional<MacvtapDevice> passthru = {}; // The device that has it to itself.
};

// Of an interface of this name or alternative name; absent where there is none. Throws Error where
// name can be none's.
std::optional<Parent> look_at_parent(Netlink& netlink, const Host& host, const std::string& name);

Checks parent_checks(const std::string& name, const std::optional<Parent>& parent);

} // namespace tapline::doctor
