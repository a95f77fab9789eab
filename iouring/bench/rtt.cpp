#include "iouring/bench/rtt.h"

#include "iouring/bench/rtt_trial.h"
#include "iouring/bench/statistics.h"

#include <fmt/format.h>

#include <array>
#include <map>

namespace tapline::bench {
namespace {

using nlohmann::ordered_json;
using std::chrono::microseconds;

constexpr unsigned rounds_by_default = 5;
constexpr std::array gaps = {microseconds{0}, microseconds{200}, microseconds{1000}};
constexpr double hundredths = 100;
constexpr double thousandths = 1000;

// Of one engine at one gap, a value each round.
struct Rounds {
    std::vector<double> p50_us = {};
    std::vector<double> p99_us = {};
    std::vector<double> p999_us = {};
    std::vector<double> cpu_us = {};
    uint64_t pings = 0;
    uint64_t lost = 0;

    void add(RttFigures figures) {
        pings += figures.times_us.size() + figures.lost;
        lost += figures.lost;
        p50_us.push_back(percentile(figures.times_us, 0.5));
        p99_us.push_back(percentile(figures.times_us, 0.99));
        p999_us.push_back(percentile(figures.times_us, 0.999));
        cpu_us.push_back(figures.cpu_us);
    }
};

struct Results {
    std::vector<std::string> engines = {};
    std::map<std::pair<std::string, microseconds>, Rounds> rounds = {};
};

ordered_json facts_of(const Rounds& rounds, const Rounds* loop) {
    ordered_json facts = {{"p50_us", Spread::of(rounds.p50_us).to_json(hundredths)},
                          {"p99_us", Spread::of(rounds.p99_us).to_json(hundredths)},
                          {"p999_us", Spread::of(rounds.p999_us).to_json(hundredths)},
                          {"cpu_us", Spread::of(rounds.cpu_us).to_json(hundredths)},
                          {"pings", rounds.pings},
                          {"lost", rounds.lost}};
    if (loop != nullptr && loop != &rounds) {
        facts["ratio_to_loop"] = {
            {"p50", Spread::of_ratios(rounds.p50_us, loop->p50_us).to_json(thousandths)},
            {"p99", Spread::of_ratios(rounds.p99_us, loop->p99_us).to_json(thousandths)},
            {"p999", Spread::of_ratios(rounds.p999_us, loop->p999_us).to_json(thousandths)},
            {"cpu", Spread::of_ratios(rounds.cpu_us, loop->cpu_us).to_json(thousandths)}};
    }
    return facts;
}

std::string row_of(const std::string& engine, const Rounds& rounds, const Rounds* loop) {
    const auto cell = [&](std::vector<double> Rounds::*value) {
        const double by =
            loop == nullptr ? 0 : Spread::of_ratios(rounds.*value, loop->*value).median;
        return fmt::format(" {:>8.1f} {:>7}", Spread::of(rounds.*value).median,
                           by > 0 ? fmt::format("({:.2f})", by) : "");
    };
    return fmt::format("  {:<10}{}{}{}{} {:>8} {:>6}\n", engine, cell(&Rounds::p50_us),
                       cell(&Rounds::p99_us), cell(&Rounds::p999_us), cell(&Rounds::cpu_us),
                       rounds.pings, rounds.lost);
}

LinePlot plot_of(const Results& results) {
    LinePlot plot{.name = "rtt",
                  .title = "Round trip by pause between pings",
                  .x_label = "pause, microseconds",
                  .y_label = "microseconds",
                  .lines = {}};
    for (const std::string& engine : results.engines) {
        LinePlot::Line median{.label = engine + " p50", .points = {}};
        LinePlot::Line tail{.label = engine + " p99", .points = {}};
        for (const microseconds gap : gaps) {
            const Rounds& rounds = results.rounds.at({engine, gap});
            median.points.emplace_back(gap.count(), Spread::of(rounds.p50_us).median);
            tail.points.emplace_back(gap.count(), Spread::of(rounds.p99_us).median);
        }
        plot.lines.push_back(std::move(median));
        plot.lines.push_back(std::move(tail));
    }
    return plot;
}

Report tell(const Results& results, const RttPlan& plan, unsigned rounds_count) {
    Report report;
    report.facts = {{"rounds", rounds_count},
                    {"seconds", plan.time.count()},
                    {"parent_kind", to_text(WireKind::veth)},
                    {"ring", to_text(plan.layout)},
                    {"frame_bytes", plan.mix.mean()},
                    {"gaps", ordered_json::array()}};
    report.table =
        fmt::format("Pings of {:.0f} bytes, {} ring; microseconds, medians of {} rounds "
                    "of {:g} s, and the ratio to loop.\n",
                    plan.mix.mean(), to_text(plan.layout), rounds_count, plan.time.count());
    for (const microseconds gap : gaps) {
        ordered_json engines = ordered_json::array();
        report.table += fmt::format("\n  {:<10} {:>16} {:>16} {:>16} {:>16} {:>8} {:>6}\n",
                                    fmt::format("gap {} us", gap.count()), "p50", "p99", "p99.9",
                                    "backend CPU", "pings", "lost");
        const auto loop = results.rounds.find({"loop", gap});
        const Rounds* baseline = loop == results.rounds.end() ? nullptr : &loop->second;
        for (const std::string& engine : results.engines) {
            const Rounds& rounds = results.rounds.at({engine, gap});
            ordered_json facts = {{"engine", engine}};
            facts.update(facts_of(rounds, baseline));
            engines.push_back(facts);
            report.table += row_of(engine, rounds, baseline);
        }
        report.facts["gaps"].push_back({{"gap_us", gap.count()}, {"engines", engines}});
    }
    report.plots.push_back(plot_of(results));
    return report;
}

} // namespace

Report measure_rtt(const Options& options) {
    Netlink netlink = Netlink::open();
    const RttPlan plan{.mix = options.mix, .layout = options.layout, .time = options.time};
    const Wire wire(netlink, WireKind::veth, plan.mix.mtu());
    const CpuSplit cpus;
    Results results;
    for (const Engine& engine : options.engines) {
        if (engine.has_guest()) {
            results.engines.push_back(engine.name);
        }
    }
    const unsigned rounds = options.rounds.value_or(rounds_by_default);
    for (unsigned round = 0; round < rounds; ++round) {
        for (const Engine& engine : options.engines) {
            if (!engine.has_guest()) {
                continue;
            }
            RttTrial trial(netlink, wire, cpus, plan, engine);
            for (const microseconds gap : gaps) {
                results.rounds[{engine.name, gap}].add(trial.run(gap));
            }
        }
    }
    return tell(results, plan, rounds);
}

} // namespace tapline::bench
