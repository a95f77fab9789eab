// How a device or a host link reads in --json output; the keys are part of the command-line
// contract.
#pragma once

#include "backend/host_link.h"
#include "backend/macvtap_device.h"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace tapline {

nlohmann::ordered_json to_json(const MacvtapDevice& device);
nlohmann::ordered_json to_json(const HostLink& link);

// On one line. Names of interfaces are bytes: what is no UTF-8 in them is replaced.
std::string to_line(const nlohmann::ordered_json& json);

} // namespace tapline
