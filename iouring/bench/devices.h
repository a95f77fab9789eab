// Scenario `devices`: what it costs to make a device, open its queues and delete it, against the
// same done bare, and whether many devices cost more each than few.
#pragma once

#include "iouring/bench/scenario.h"

namespace tapline::bench {

Report measure_devices(const Options& options);

} // namespace tapline::bench
