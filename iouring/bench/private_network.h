// A network of the benchmark's own, gone with the process: a network namespace, a /sys that shows
// it, and a /run where nobody else's records are.
#pragma once

#include "backend/netlink.h"

namespace tapline::bench {

// Before any thread exists. Throws Error where the process may not.
void enter_private_network();

// An interface that is up and carries frames of this size: an end of a veth pair, whose other end
// is up, too, or an ifb, which swallows what is sent.
enum class WireKind { veth, ifb };
const char* to_text(WireKind kind);
Link make_wire(Netlink& netlink, WireKind kind = WireKind::veth, uint32_t mtu = 1500);

} // namespace tapline::bench
