// A packet socket on one interface: what the far side of the wire sends and looks at.
#pragma once

#include "backend/base/unique_fd.h"

#include <cstdint>

namespace tapline::bench {

// Bound to the interface; 0 as protocol receives nothing. Throws Error.
UniqueFd open_packet_socket(int index, uint16_t protocol);

} // namespace tapline::bench
