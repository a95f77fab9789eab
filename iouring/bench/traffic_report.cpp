#include "iouring/bench/traffic_report.h"

#include "iouring/bench/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>

namespace tapline::bench {
namespace {

using nlohmann::ordered_json;
using Rounds = std::vector<TrafficFigures>;

constexpr double whole = 1;
constexpr double hundredths = 100;
constexpr double thousandths = 1000;
constexpr double millionths = 1'000'000;

template <typename Value> std::vector<double> each(const Rounds& rounds, Value value) {
    std::vector<double> values;
    std::ranges::transform(rounds, std::back_inserter(values), value);
    return values;
}

double frames_per_s(const TrafficFigures& figures) {
    return (figures.to_wire ? figures.to_wire->frames_per_s : 0) +
           (figures.to_guest ? figures.to_guest->frames_per_s : 0);
}

double bits_per_s(const TrafficFigures& figures) {
    return (figures.to_wire ? figures.to_wire->bits_per_s : 0) +
           (figures.to_guest ? figures.to_guest->bits_per_s : 0);
}

double backend_ns(const TrafficFigures& figures) {
    return figures.backend_ns;
}

double loss(const TrafficFigures& figures) {
    return std::max(figures.to_wire ? figures.to_wire->loss : 0,
                    figures.to_guest ? figures.to_guest->loss : 0);
}

template <typename Value> Spread ratio(const Rounds& rounds, const Rounds& baseline, Value value) {
    return Spread::of_ratios(each(rounds, value), each(baseline, value));
}

ordered_json facts_of_direction(const Rounds& rounds,
                                std::optional<Delivery> TrafficFigures::*direction) {
    const auto spread = [&](double Delivery::*value) {
        return Spread::of(each(
            rounds, [&](const TrafficFigures& figures) { return (*(figures.*direction)).*value; }));
    };
    const auto sum = [&](uint64_t Delivery::*value) {
        uint64_t all = 0;
        for (const TrafficFigures& figures : rounds) {
            all += (*(figures.*direction)).*value;
        }
        return all;
    };
    return {{"frames_per_s", spread(&Delivery::frames_per_s).to_json(whole)},
            {"bits_per_s", spread(&Delivery::bits_per_s).to_json(whole)},
            {"offered_per_s", spread(&Delivery::offered_per_s).to_json(whole)},
            {"loss", spread(&Delivery::loss).to_json(millionths)},
            {"looked_at", sum(&Delivery::looked_at)},
            {"damaged", sum(&Delivery::damaged)},
            {"reordered", sum(&Delivery::reordered)}};
}

} // namespace

TrafficReport::TrafficReport(const TrafficPlan& plan, WireKind wire, const Options& options)
    : plan_(plan), wire_(wire), baselines_(options.baselines), zero_loss_(options.zero_loss) {}

void TrafficReport::add(const std::string& engine, const TrafficFigures& figures) {
    if (!rounds_.contains(engine)) {
        engines_.push_back(engine);
    }
    rounds_[engine].push_back(figures);
}

ordered_json TrafficReport::facts_of(const std::string& engine) const {
    const Rounds& rounds = rounds_.at(engine);
    ordered_json facts = {{"engine", engine}};
    if (plan_.wire_receives()) {
        facts["to_wire"] = facts_of_direction(rounds, &TrafficFigures::to_wire);
    }
    if (rounds.front().to_guest) {
        facts["to_guest"] = facts_of_direction(rounds, &TrafficFigures::to_guest);
    }
    facts["ratio"] = ordered_json::object();
    facts["cpu_ratio"] = ordered_json::object();
    for (const std::string& baseline : baselines_) {
        if (rounds_.contains(baseline) && baseline != engine) {
            const Rounds& base = rounds_.at(baseline);
            facts["ratio"][baseline] = ratio(rounds, base, frames_per_s).to_json(thousandths);
            facts["cpu_ratio"][baseline] = ratio(rounds, base, backend_ns).to_json(thousandths);
        }
    }
    const auto spread = [&](double TrafficFigures::*value, double digits) {
        return Spread::of(each(rounds, std::mem_fn(value))).to_json(digits);
    };
    facts["cpu_ns_per_frame"] = {{"backend", spread(&TrafficFigures::backend_ns, whole)},
                                 {"front_end", spread(&TrafficFigures::front_end_ns, whole)},
                                 {"softirq", spread(&TrafficFigures::softirq_ns, whole)}};
    facts["frames_per_kick"] = spread(&TrafficFigures::frames_per_kick, hundredths);
    facts["frames_per_call"] = spread(&TrafficFigures::frames_per_call, hundredths);
    if (rounds_of_one_pair_.contains(engine)) {
        facts["cpu_growth"] =
            ratio(rounds, rounds_of_one_pair_.at(engine), backend_ns).to_json(thousandths);
    }
    facts["sender_limits"] =
        std::ranges::count(each(rounds, std::mem_fn(&TrafficFigures::sender_limits)), 1.0);
    return facts;
}

std::string TrafficReport::row_of(const std::string& engine) const {
    const Rounds& rounds = rounds_.at(engine);
    const auto median = [&](auto value) { return Spread::of(each(rounds, value)).median; };
    const Spread frames = Spread::of(each(rounds, frames_per_s));
    std::string row =
        fmt::format("  {:<10} {:>6.0f} {:>13} {:>7.2f} {:>6.2f}", engine, frames.median / 1000,
                    fmt::format("({:.0f}..{:.0f})", frames.min / 1000, frames.max / 1000),
                    median(bits_per_s) / 1e9, 100 * median(loss));
    for (const std::string& baseline : baselines_) {
        if (!rounds_.contains(baseline)) {
            continue;
        }
        const Spread by = ratio(rounds, rounds_.at(baseline), frames_per_s);
        const Spread cost = ratio(rounds, rounds_.at(baseline), backend_ns);
        row += fmt::format(" {:>5.2f} {:>12} {:>5.2f}", by.median,
                           fmt::format("({:.2f}..{:.2f})", by.min, by.max), cost.median);
    }
    row += fmt::format(" {:>8.0f} {:>9.0f} {:>7.0f} {:>7.1f} {:>7.1f}", median(backend_ns),
                       median(std::mem_fn(&TrafficFigures::front_end_ns)),
                       median(std::mem_fn(&TrafficFigures::softirq_ns)),
                       median(std::mem_fn(&TrafficFigures::frames_per_kick)),
                       median(std::mem_fn(&TrafficFigures::frames_per_call)));
    if (rounds_of_one_pair_.contains(engine)) {
        row += fmt::format(" {:>9.2f}",
                           ratio(rounds, rounds_of_one_pair_.at(engine), backend_ns).median);
    }
    return row + '\n';
}

std::string TrafficReport::heading() const {
    std::string heading =
        fmt::format("  {:<10} {:>20} {:>7} {:>6}", "", "1000 frames/s", "Gbit/s", "loss %");
    for (const std::string& baseline : baselines_) {
        if (rounds_.contains(baseline)) {
            heading += fmt::format(" {:>18} {:>5}", "x " + baseline, "CPU x");
        }
    }
    heading += fmt::format(" {:>8} {:>9} {:>7} {:>7} {:>7}", "backend", "front end", "softirq",
                           "/kick", "/call");
    return heading + (rounds_of_one_pair_.empty() ? "\n" : "  x 1 pair\n");
}

std::string TrafficReport::introduction() const {
    std::string text = fmt::format(
        "{} of {:.0f} bytes, {} ring, {} queue pair{}, parent {}; median (least..most) of {} "
        "rounds of {:g} s.\n",
        zero_loss_ ? "Highest rate without loss, frames" : "Frames", plan_.mix.mean(),
        to_text(plan_.layout), plan_.queue_pairs, plan_.queue_pairs == 1 ? "" : "s", to_text(wire_),
        rounds_.empty() ? 0 : rounds_.begin()->second.size(), plan_.time.count());
    if (source_alone_) {
        text += fmt::format("The source alone makes {:.0f} thousand frames/s.\n",
                            *source_alone_ / 1000);
    }
    if (sink_alone_) {
        text += fmt::format("The sink alone takes at least {:.0f} thousand frames/s.\n",
                            *sink_alone_ / 1000);
    }
    return text + "CPU time of backend, front end and softirq in nanoseconds a frame.\n\n";
}

Report TrafficReport::finish() const {
    Report report;
    report.facts = {{"rounds", rounds_.empty() ? 0 : rounds_.begin()->second.size()},
                    {"seconds", plan_.time.count()},
                    {"parent_kind", to_text(wire_)},
                    {"ring", to_text(plan_.layout)},
                    {"queues", plan_.queue_pairs},
                    {"frame_bytes", rounded(plan_.mix.mean(), hundredths)},
                    {"zero_loss", zero_loss_},
                    {"flood", plan_.flood}};
    if (source_alone_) {
        report.facts["source_alone_per_s"] = rounded(*source_alone_, whole);
    }
    if (sink_alone_) {
        report.facts["sink_alone_per_s"] = rounded(*sink_alone_, whole);
    }
    report.facts["engines"] = ordered_json::array();
    report.table = introduction() + heading();
    for (const std::string& engine : engines_) {
        report.facts["engines"].push_back(facts_of(engine));
        report.table += row_of(engine);
    }
    report.plots.push_back(plot());
    return report;
}

LinePlot TrafficReport::plot() const {
    LinePlot plot{.name = "frames",
                  .title = "What each engine carries",
                  .x_label = "round",
                  .y_label = "1000 frames/s",
                  .lines = {}};
    for (const std::string& engine : engines_) {
        LinePlot::Line line{.label = engine, .points = {}};
        for (const TrafficFigures& figures : rounds_.at(engine)) {
            line.points.emplace_back(line.points.size() + 1, frames_per_s(figures) / 1000);
        }
        plot.lines.push_back(std::move(line));
    }
    return plot;
}

} // namespace tapline::bench
