#include "iouring/bench/zero_loss.h"

#include <algorithm>

namespace tapline::bench {
namespace {

constexpr unsigned steps = 7;    // To the 128th part of what can be carried with loss.
constexpr double in_time = 0.99; // Of the frames that were due: fewer were not even sent.

double rate_of(const TrafficFigures& figures) {
    double rate = 0;
    for (const auto& delivery : {figures.to_wire, figures.to_guest}) {
        rate = std::max(rate, delivery ? delivery->frames_per_s : 0);
    }
    return rate;
}

bool passed(const TrafficFigures& figures, double rate) {
    return std::ranges::all_of(
        std::array{figures.to_wire, figures.to_guest}, [rate](const auto& delivery) {
            return !delivery || (delivery->loss == 0 && delivery->offered_per_s >= in_time * rate);
        });
}

TrafficFigures nothing_like(const TrafficFigures& figures) {
    TrafficFigures nothing;
    if (figures.to_wire) {
        nothing.to_wire.emplace();
    }
    if (figures.to_guest) {
        nothing.to_guest.emplace();
    }
    return nothing;
}

} // namespace

TrafficFigures find_rate_without_loss(TrafficTrial& trial) {
    const TrafficFigures flood = trial.run();
    TrafficFigures best = nothing_like(flood);
    double passes = 0;
    double fails = rate_of(flood);
    for (unsigned step = 0; step < steps; ++step) {
        const double rate = (passes + fails) / 2;
        const TrafficFigures figures = trial.run(rate);
        if (passed(figures, rate)) {
            passes = rate;
            best = figures;
        } else {
            fails = rate;
        }
    }
    return best;
}

} // namespace tapline::bench
