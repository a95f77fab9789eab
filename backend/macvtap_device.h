// A macvtap link: a second station on a parent interface whose frames go to /dev/tapN.
#pragma once

#include "backend/interface_spec.h"
#include "backend/netlink.h"

#include <optional>
#include <string>
#include <vector>

namespace tapline {

// What the kernel says of one device.
struct MacvtapDevice {
    std::string name;
    int index = 0;
    std::string parent; // Empty where the parent lives in another network namespace.
    MacvlanMode mode{};
    MacAddress mac;
    uint32_t mtu = 0;          // Bytes.
    uint32_t queue_length = 0; // Frames.
    bool up = false;
    bool ours = false; // Carries our mark in its alias (IFLA_IFALIAS).
};

std::vector<MacvtapDevice> list_macvtaps(Netlink& netlink);
// Throws Error where there is no link of that name or it is no macvtap.
MacvtapDevice find_macvtap(Netlink& netlink, const std::string& name);
// Goes on where the device is gone already.
void delete_macvtap(Netlink& netlink, const MacvtapDevice& device);

// A device that is deleted with its owner, unless it is kept.
class OwnedMacvtap {
public:
    // Makes the device, marks it as ours and brings it up, and its parent where that is down.
    // netlink must outlive the owner.
    static OwnedMacvtap create(Netlink& netlink, const InterfaceSpec& spec);

    OwnedMacvtap(OwnedMacvtap&& other) noexcept;
    OwnedMacvtap& operator=(OwnedMacvtap&&) = delete;
    ~OwnedMacvtap();

    const MacvtapDevice& device() const { return device_; }
    void keep() { netlink_ = nullptr; }

private:
    OwnedMacvtap(Netlink& netlink, MacvtapDevice device)
        : netlink_(&netlink), device_(std::move(device)) {}

    Netlink* netlink_; // Null: nothing to delete.
    MacvtapDevice device_;
};

} // namespace tapline
