// Whether a host can give a domain its interfaces: all that would be refused halfway otherwise.
#pragma once

#include "backend/link.h"
#include "backend/netlink.h"
#include "hooks/interface_plan.h"
#include "xml/domain.h"

#include <string>
#include <vector>

namespace tapline::hooks {

// As libvirt will make them itself, for the interfaces of kind direct.
std::vector<InterfaceSpec> direct_devices_of(Netlink& netlink, const xml::Domain& domain);

// What helps where a device is to have the name of this interface.
std::string way_to_free(const Link& link);

// Throws Error for the first of the devices that the host, or another one of them, is in the way
// of.
void check_devices(Netlink& netlink, const std::vector<InterfaceSpec>& devices);

} // namespace tapline::hooks
