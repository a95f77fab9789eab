// How a device reads in --json output; the keys are part of the command-line contract.
#pragma once

#include "backend/macvtap_device.h"

#include <nlohmann/json_fwd.hpp>

namespace tapline {

nlohmann::ordered_json to_json(const MacvtapDevice& device);

} // namespace tapline
