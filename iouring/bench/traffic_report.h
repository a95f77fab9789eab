// The figures of engines that carried frames by turns, for people, programs and plots.
#pragma once

#include "iouring/bench/scenario.h"
#include "iouring/bench/traffic_trial.h"

#include <map>
#include <string>
#include <vector>

namespace tapline::bench {

class TrafficReport {
public:
    TrafficReport(const TrafficPlan& plan, WireKind wire, const Options& options);

    // One trial each round, in the order of the engines.
    void add(const std::string& engine, const TrafficFigures& figures);
    Report finish() const;

private:
    using Rounds = std::vector<TrafficFigures>;

    nlohmann::ordered_json facts_of(const std::string& engine) const;
    std::string row_of(const std::string& engine) const;
    std::string heading() const;
    LinePlot plot() const;

    const TrafficPlan plan_;
    const WireKind wire_;
    const std::vector<std::string> baselines_;
    std::vector<std::string> engines_;
    std::map<std::string, Rounds> rounds_;
};

} // namespace tapline::bench
