// Scenarios with frames: `guest-to-wire`, `wire-to-guest`, `both`, `guest-to-guest` and `stream`.
#pragma once

#include "iouring/bench/scenario.h"

namespace tapline::bench {

Report measure_guest_to_wire(const Options& options);
Report measure_wire_to_guest(const Options& options);
Report measure_both(const Options& options);
Report measure_guest_to_guest(const Options& options);
Report measure_stream(const Options& options);

} // namespace tapline::bench
