#include "iouring/bench/wire.h"

#include <fmt/format.h>

#include <fstream>

namespace tapline::bench {

Wire::Wire(Netlink& netlink, WireKind kind, uint32_t mtu)
    : kind_(kind),
      parent_(make_wire(netlink, kind, mtu)),
      far_(kind == WireKind::veth ? netlink.link(parent_.parent_index).value() : parent_) {}

// An ifb counts what it swallows as received, too.
uint64_t Wire::frames_arrived() const {
    std::ifstream file(fmt::format("/sys/class/net/{}/statistics/rx_packets", far_.name));
    uint64_t frames = 0;
    file >> frames;
    return frames;
}

OwnedMacvtap Wire::make_device(Netlink& netlink, uint16_t queue_pairs) const {
    InterfaceText text;
    text.parent = parent_.name;
    text.queues = std::to_string(queue_pairs);
    return OwnedMacvtap::create(netlink, InterfaceSpec::parse(text));
}

} // namespace tapline::bench
