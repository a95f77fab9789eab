// Tells the neighbours of a link that an address is at a MAC address now. They would else go on
// sending to the old one until their entry for it is out of date.
#pragma once

#include "backend/ip_prefix.h"
#include "backend/mac_address.h"

namespace tapline {

// Once, to all of them. What cannot be sent is lost, as on any wire.
void announce(const IpPrefix& address, const MacAddress& mac, int link);

} // namespace tapline
