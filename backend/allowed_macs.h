// The list of source addresses that a device in mode source lets through.
#pragma once

#include "backend/link_request.h"
#include "backend/macvtap_device.h"

#include <vector>

namespace tapline {

// The whole list, of a device that is made; goes inside IFLA_INFO_DATA.
void put_allowed_macs(LinkRequest& request, const std::vector<MacAddress>& macs);

enum class AllowedMacsChange { add, remove, replace };

// On a device in use: no frame of an address that stays on the list is lost meanwhile.
// Throws Error for a device in another mode, for one to remove that is not there, and where the
// list would grow over its limit.
void change_allowed_macs(Netlink& netlink, const MacvtapDevice& device, AllowedMacsChange change,
                         const std::vector<MacAddress>& macs);

} // namespace tapline
