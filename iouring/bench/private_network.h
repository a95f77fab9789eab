// A network of the benchmark's own, gone with the process: a network namespace, a /sys that shows
// it, and a /run where nobody else's records are.
#pragma once

#include "backend/netlink.h"

namespace tapline::bench {

// Before any thread exists. Throws Error where the process may not.
void enter_private_network();

// An end of a new veth pair; both are up.
Link make_wire(Netlink& netlink);

} // namespace tapline::bench
