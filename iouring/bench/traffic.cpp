#include "iouring/bench/traffic.h"

#include "iouring/bench/traffic_report.h"
#include "iouring/bench/wire.h"
#include "iouring/bench/wire_alone.h"
#include "iouring/bench/zero_loss.h"

#include <fmt/format.h>

#include <utility>

namespace tapline::bench {
namespace {

using Route = TrafficPlan::Route;

constexpr unsigned rounds_by_default = 5;
constexpr unsigned rounds_of_searches = 3;

struct Lab {
    Netlink& netlink;
    const Wire& wire;
    const CpuSplit& cpus;
};

TrafficFigures try_engine(const Lab& lab, const TrafficPlan& plan, const Engine& engine,
                          bool zero_loss) {
    TrafficTrial trial(lab.netlink, lab.wire, lab.cpus, plan, engine);
    return zero_loss ? find_rate_without_loss(trial) : trial.run();
}

// By turns, so that whatever else the machine does meets all of them.
Report measure_on(const Lab& lab, const TrafficPlan& plan, const Options& options) {
    TrafficReport report(plan, lab.wire.kind(), options);
    if (plan.wire_sends()) {
        report.tell_source(source_alone(lab.netlink, lab.wire, lab.cpus, plan.mix));
    }
    if (plan.wire_receives()) {
        report.tell_sink(sink_alone(lab.wire, lab.cpus, plan.mix));
    }
    TrafficPlan of_one_pair = plan;
    of_one_pair.queue_pairs = 1;
    const unsigned rounds =
        options.rounds.value_or(options.zero_loss ? rounds_of_searches : rounds_by_default);
    for (unsigned round = 0; round < rounds; ++round) {
        for (const Engine& engine : options.engines) {
            if (options.zero_loss && !engine.has_guest()) {
                continue; // It has no pace but its own.
            }
            report.add(engine.name, try_engine(lab, plan, engine, options.zero_loss));
            if (plan.queue_pairs > 1) {
                report.add_of_one_pair(engine.name, try_engine(lab, of_one_pair, engine, false));
            }
        }
    }
    return report.finish();
}

TrafficPlan plan_for(Route route, const Options& options) {
    return {.route = route,
            .mix = options.mix,
            .layout = options.layout,
            .queue_pairs = options.queue_pairs,
            .time = options.time,
            .flood = options.flood};
}

Report measure(Route route, const Options& options) {
    Netlink netlink = Netlink::open();
    const TrafficPlan plan = plan_for(route, options);
    const WireKind kind =
        options.wire.value_or(route == Route::guest_to_wire ? WireKind::ifb : WireKind::veth);
    const Wire wire(netlink, kind, plan.mix.mtu());
    const CpuSplit cpus;
    return measure_on({.netlink = netlink, .wire = wire, .cpus = cpus}, plan, options);
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

Report measure_guest_to_guest(const Options& options) {
    return measure(Route::guest_to_guest, options);
}

Report measure_stream(const Options& options) {
    Netlink netlink = Netlink::open();
    Options segments = options;
    segments.mix = Mix::of(segment_bytes);
    const Wire wire(netlink, WireKind::veth, segments.mix.mtu());
    const CpuSplit cpus;
    const Lab lab{.netlink = netlink, .wire = wire, .cpus = cpus};
    Report whole{.facts = {{"directions", nlohmann::ordered_json::array()}}};
    for (const auto& [name, route] : {std::pair{"guest-to-wire", Route::guest_to_wire},
                                      std::pair{"wire-to-guest", Route::wire_to_guest}}) {
        Report part = measure_on(lab, plan_for(route, segments), segments);
        nlohmann::ordered_json facts = {{"direction", name}};
        facts.update(part.facts);
        whole.facts["directions"].push_back(facts);
        whole.table += fmt::format("{}{}: {}", whole.table.empty() ? "" : "\n", name, part.table);
        part.plots.front().name = name;
        whole.plots.push_back(std::move(part.plots.front()));
    }
    return whole;
}

} // namespace tapline::bench
