// The wire of the private network: where macvtap devices are made and where frames are counted.
#pragma once

#include "backend/macvtap_device.h"
#include "iouring/bench/private_network.h"

#include <cstdint>
#include <string>

namespace tapline::bench {

class Wire {
public:
    Wire(Netlink& netlink, WireKind kind, uint32_t mtu); // Throws Error.

    WireKind kind() const { return kind_; }
    int parent_index() const { return parent_.index; }
    int far_index() const { return far_.index; } // Of an ifb: its own.
    // Nobody's, so that the far side's own network stack drops frames at once.
    const MacAddress& far_address() const { return far_address_; }

    // Frames that have come out of it, by the kernel's count.
    uint64_t frames_arrived() const;

    // A device on it, as tapline makes it.
    OwnedMacvtap make_device(Netlink& netlink, uint16_t queue_pairs) const;

private:
    WireKind kind_;
    Link parent_;
    Link far_;
    MacAddress far_address_ = MacAddress::random();
};

} // namespace tapline::bench
