// The highest rate at which every frame arrives, found as RFC 2544 (26.1) does: by trials at rates
// between one that passed and one that did not.
#pragma once

#include "iouring/bench/traffic_trial.h"

namespace tapline::bench {

// The figures of the trial at that rate; of none where no rate passed. Throws Error.
TrafficFigures find_rate_without_loss(TrafficTrial& trial);

} // namespace tapline::bench
