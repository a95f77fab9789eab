#include "iouring/bench/devices.h"

#include "iouring/bench/device_steps.h"
#include "iouring/bench/durations.h"
#include "iouring/bench/private_network.h"
#include "iouring/bench/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace tapline::bench {
namespace {

using nlohmann::ordered_json;

constexpr unsigned queues = 4;
constexpr unsigned rounds_by_default = 30;
// What may come on top of the kernel's own growth (it looks for a free name among all there are),
// on a machine that does other things.
constexpr double growth_max = 1.5;
constexpr double ratio_max = 1.3;

struct Lives {
    std::vector<Life> tapline;
    std::vector<Life> bare;
};

// By turns, so that whatever else the machine does meets both.
Lives live_by_turns(Netlink& netlink, const Link& parent, unsigned rounds) {
    BareDevices bare(parent.index);
    live(netlink, parent.name, queues); // The first of all pays for caches and modules.
    live(bare, queues);
    Lives lives;
    for (unsigned i = 0; i < rounds; ++i) {
        lives.tapline.push_back(live(netlink, parent.name, queues));
        lives.bare.push_back(live(bare, queues));
    }
    return lives;
}

template <typename Value> double median_of(const std::vector<Life>& lives, Value value) {
    std::vector<double> values;
    std::ranges::transform(lives, std::back_inserter(values), value);
    return median(std::move(values));
}

Life medians(const std::vector<Life>& lives) {
    return {.create_us = median_of(lives, &Life::create_us),
            .open_us = median_of(lives, &Life::open_us),
            .delete_us = median_of(lives, &Life::delete_us)};
}

ordered_json to_json(const Life& life, double total_us) {
    return {{"create_us", rounded(life.create_us, 10)},
            {"open_us", rounded(life.open_us, 10)},
            {"delete_us", rounded(life.delete_us, 10)},
            {"total_us", rounded(total_us, 10)}};
}

std::string row_of(const char* name, const Life& life, double total_us) {
    return fmt::format("  {:<10} {:>10.0f} {:>10.0f} {:>10.0f} {:>10.0f}\n", name, life.create_us,
                       life.open_us, life.delete_us, total_us);
}

// The whole life of it, which is what must not cost too much.
double total_of(const std::vector<Life>& lives) {
    return median_of(lives, [](const Life& life) { return life.total_us(); });
}

void tell_lives(Report& report, const Lives& lives) {
    const Life tapline = medians(lives.tapline);
    const Life bare = medians(lives.bare);
    const double tapline_us = total_of(lives.tapline);
    const double bare_us = total_of(lives.bare);
    const double ratio = tapline_us / bare_us;
    const Life ratios{.create_us = tapline.create_us / bare.create_us,
                      .open_us = tapline.open_us / bare.open_us,
                      .delete_us = tapline.delete_us / bare.delete_us};
    report.facts["rounds"] = lives.bare.size();
    report.facts["queues"] = queues;
    report.facts["tapline"] = to_json(tapline, tapline_us);
    report.facts["bare"] = to_json(bare, bare_us);
    report.facts["ratio"] = rounded(ratio, 1000);
    report.facts["ratio_max"] = ratio_max;
    report.facts["ratios"] = {{"create", rounded(ratios.create_us, 1000)},
                              {"open", rounded(ratios.open_us, 1000)},
                              {"delete", rounded(ratios.delete_us, 1000)}};
    report.table += fmt::format("One device with {} queues, microseconds, median of {} rounds:\n\n"
                                "  {:<10} {:>10} {:>10} {:>10} {:>10}\n",
                                queues, lives.bare.size(), "", "create", "open", "delete", "all");
    report.table += row_of("tapline", tapline, tapline_us) + row_of("bare", bare, bare_us);
    report.table += fmt::format("  {:<10} {:>10.2f} {:>10.2f} {:>10.2f} {:>10.2f}  {} {:.1f}\n",
                                "ratio", ratios.create_us, ratios.open_us, ratios.delete_us, ratio,
                                ratio <= ratio_max ? "within" : "OVER", ratio_max);
}

// One way to do it, at each number of devices.
struct Growth {
    const char* way;
    std::vector<Crowd> crowds = {};

    double factor(double Crowd::*step) const { return crowds.back().*step / crowds.front().*step; }
};

std::vector<Growth> grow(Netlink& netlink, const Link& parent, const Options& options) {
    BareDevices bare(parent.index);
    std::vector<Growth> ways{{.way = "tapline"}, {.way = "bare"}};
    if (options.program) {
        ways.push_back({.way = "programs"});
    }
    for (const unsigned count : options.device_counts) {
        ways[0].crowds.push_back(crowd(netlink, parent.name, count));
        ways[1].crowds.push_back(crowd(bare, count));
        if (options.program) {
            ways[2].crowds.push_back(crowd(*options.program, parent.name, count));
        }
    }
    return ways;
}

struct Step {
    const char* name;
    double Crowd::*us;
};
constexpr Step steps[] = {
    {"create", &Crowd::create_us}, {"list", &Crowd::list_us}, {"delete", &Crowd::delete_us}};

ordered_json to_json(const Growth& growth, const std::vector<unsigned>& counts) {
    auto points = ordered_json::array();
    for (size_t i = 0; i < counts.size(); ++i) {
        points.push_back({{"devices", counts[i]}});
        for (const Step& step : steps) {
            points.back()[fmt::format("{}_us", step.name)] = rounded(growth.crowds[i].*step.us, 10);
        }
    }
    ordered_json factors;
    for (const Step& step : steps) {
        factors[step.name] = rounded(growth.factor(step.us), 1000);
    }
    return {{"points", points}, {"factors", factors}};
}

std::string table_of(const Growth& growth, const std::vector<unsigned>& counts) {
    std::string table =
        fmt::format("\n  {:<10} {:>10} {:>10} {:>10}\n", growth.way, "create", "list", "delete");
    for (size_t i = 0; i < counts.size(); ++i) {
        const Crowd& crowd = growth.crowds[i];
        table += fmt::format("  {:>10} {:>10.1f} {:>10.1f} {:>10.1f}\n", counts[i], crowd.create_us,
                             crowd.list_us, crowd.delete_us);
    }
    return table + fmt::format("  {:<10} {:>10.2f} {:>10.2f} {:>10.2f}\n", "last/first",
                               growth.factor(&Crowd::create_us), growth.factor(&Crowd::list_us),
                               growth.factor(&Crowd::delete_us));
}

LinePlot plot_of(const std::vector<Growth>& ways, const std::vector<unsigned>& counts,
                 const Step& step) {
    LinePlot plot{.name = fmt::format("devices-{}", step.name),
                  .title = fmt::format("Time to {} a device, by the number of devices", step.name),
                  .x_label = "devices on one parent",
                  .y_label = "microseconds a device",
                  .lines = {}};
    for (const Growth& growth : ways) {
        LinePlot::Line line{.label = growth.way, .points = {}};
        for (size_t i = 0; i < counts.size(); ++i) {
            line.points.emplace_back(counts[i], growth.crowds[i].*step.us);
        }
        plot.lines.push_back(std::move(line));
    }
    return plot;
}

void tell_growth(Report& report, const std::vector<Growth>& ways,
                 const std::vector<unsigned>& counts) {
    report.table += "\nMany devices on one parent, microseconds a device:\n";
    bool linear = true;
    for (const Growth& growth : ways) {
        report.facts["growth"][growth.way] = to_json(growth, counts);
        report.table += table_of(growth, counts);
    }
    for (const Step& step : steps) {
        linear &= ways[0].factor(step.us) <= growth_max * ways[1].factor(step.us);
        report.plots.push_back(plot_of(ways, counts, step));
    }
    report.facts["linear"] = linear;
    report.table += fmt::format(
        "\n  Tapline's own part is {}: {} step grows over {:.1f} times as much as bare\n",
        linear ? "linear" : "NOT linear", linear ? "no" : "a", growth_max);
}

} // namespace

Report measure_devices(const Options& options) {
    Netlink netlink = Netlink::open();
    const Link parent = make_wire(netlink);
    Report report;
    tell_lives(report, live_by_turns(netlink, parent, options.rounds.value_or(rounds_by_default)));
    tell_growth(report, grow(netlink, parent, options), options.device_counts);
    return report;
}

} // namespace tapline::bench
