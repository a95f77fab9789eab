// Scenario `rtt`: how long a frame to the guest and its answer take, with pauses of several lengths
// between pings, and what they cost.
#pragma once

#include "iouring/bench/scenario.h"

namespace tapline::bench {

Report measure_rtt(const Options& options);

} // namespace tapline::bench
