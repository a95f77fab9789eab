// A macvtap link: a second station on a parent interface whose frames go to /dev/tapN. An ipvtap
// is the same to its guest, and here.
#pragma once

#include "backend/device_record.h"
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
    DeviceKind kind{};
    std::string parent; // Empty where the parent lives in another network namespace.
    MacvlanMode mode{};
    Promiscuity promiscuity{}; // In mode passthru.
    IpvlanLayer layer{};       // Of an ipvtap.
    MacAddress mac{{}};
    uint32_t mtu = 0;                     // Bytes.
    uint32_t queue_length = 0;            // Frames.
    uint32_t broadcast_queue_length = 0;  // Frames; of a macvtap.
    std::vector<MacAddress> allowed_macs; // In mode source.
    bool up = false;
    std::optional<uint32_t> record_id; // Of one that is ours: in its alias (IFLA_IFALIAS).
    uint32_t group = 0;                // The record's number until it has that alias.

    bool ours() const { return record_id.has_value(); }
    bool is_recorded_as(uint32_t id) const { return record_id.value_or(group) == id; }
};

std::vector<MacvtapDevice> list_macvtaps(Netlink& netlink);
// Throws Error where there is no link of that name or it is no macvtap.
MacvtapDevice find_macvtap(Netlink& netlink, const std::string& name);
// The same for what shall be done ("delete") to one that tapline made. Throws Error for others.
MacvtapDevice find_our_macvtap(Netlink& netlink, const std::string& name,
                               const std::string& operation);
// False also where the kernel gives no answer.
bool is_gone(Netlink& netlink, const MacvtapDevice& device);
// With its record, if it has one. Goes on where the device is gone already.
void delete_macvtap(Netlink& netlink, const MacvtapDevice& device);

// A device that is deleted with its owner, unless it is kept.
class OwnedMacvtap {
public:
    // Records the device, makes it, marks it as ours and brings it up, and its parent where that
    // is down. netlink must outlive the owner.
    static OwnedMacvtap create(Netlink& netlink, const InterfaceSpec& spec);

    OwnedMacvtap(OwnedMacvtap&& other) noexcept;
    OwnedMacvtap& operator=(OwnedMacvtap&&) = delete;
    ~OwnedMacvtap();

    const MacvtapDevice& device() const { return device_; }
    void keep();
    void take_over() { record_.take_over(); } // In the process that was forked to own it.

private:
    static OwnedMacvtap create_once(Netlink& netlink, const InterfaceSpec& spec);
    OwnedMacvtap(Netlink& netlink, DeviceRecord record)
        : netlink_(&netlink), record_(std::move(record)) {}

    Netlink* netlink_; // Null: nothing to delete.
    DeviceRecord record_;
    MacvtapDevice device_; // Index 0: not made yet.
};

} // namespace tapline
