// What tells switches where a station is now: a RARP request that asks for nothing.
#pragma once

#include "backend/mac_address.h"

#include <linux/if_ether.h>

#include <array>
#include <cstddef>

namespace tapline {

// Broadcast by the station itself (RFC 903); without virtio header.
std::array<std::byte, ETH_ZLEN> announcement_of(const MacAddress& station);

} // namespace tapline
