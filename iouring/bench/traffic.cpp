#include "iouring/bench/traffic.h"

#include "iouring/bench/traffic_report.h"
#include "iouring/bench/wire.h"

namespace tapline::bench {
namespace {

using Route = TrafficPlan::Route;

constexpr unsigned rounds_by_default = 5;

TrafficPlan plan_for(Route route, const Options& options) {
    return {.route = route,
            .mix = options.mix,
            .layout = options.layout,
            .queue_pairs = options.queue_pairs,
            .time = options.time};
}

// By turns, so that whatever else the machine does meets all of them.
Report measure(Route route, const Options& options) {
    Netlink netlink = Netlink::open();
    const TrafficPlan plan = plan_for(route, options);
    const WireKind kind =
        options.wire.value_or(route == Route::guest_to_wire ? WireKind::ifb : WireKind::veth);
    const Wire wire(netlink, kind, plan.mix.mtu());
    const CpuSplit cpus;
    TrafficReport report(plan, kind, options);
    for (unsigned round = 0; round < options.rounds.value_or(rounds_by_default); ++round) {
        for (const Engine& engine : options.engines) {
            TrafficTrial trial(netlink, wire, cpus, plan, engine);
            report.add(engine.name, trial.run());
        }
    }
    return report.finish();
}

} // namespace

Report measure_guest_to_wire(const Options& options) {
    return measure(Route::guest_to_wire, options);
}

Report measure_wire_to_guest(const Options& options) {
    return measure(Route::wire_to_guest, options);
}

Report measure_both(const Options& options) {
    return measure(Route::both, options);
}

} // namespace tapline::bench
