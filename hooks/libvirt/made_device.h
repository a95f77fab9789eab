// Devices, and their pumps, that are made for a running domain, and recorded as the hook records
// its own: what removes the one removes the other.
#pragma once

#include "hooks/interface_plan.h"

#include <optional>
#include <string>

namespace tapline::libvirt {

// Throws Error, with nothing left that could be removed, also where there is a device of that name.
void make_device(const std::string& uuid, const hooks::InterfacePlan& plan);
// Goes on where it was not recorded for that domain. Throws Error.
void remove_device(const std::string& uuid, const std::string& device);

// The device that was recorded for a card of this address, or under this name, if one was.
std::optional<std::string> find_recorded_device(const std::string& uuid, const MacAddress& mac,
                                                const std::string& name);

} // namespace tapline::libvirt
