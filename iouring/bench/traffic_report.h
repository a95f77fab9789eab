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
    // The same engine in the same round with a single queue pair.
    void add_of_one_pair(const std::string& engine, const TrafficFigures& figures) {
        rounds_of_one_pair_[engine].push_back(figures);
    }
    // Frames a second that the ends of the wire reach alone.
    void tell_source(double frames_per_s) { source_alone_ = frames_per_s; }
    void tell_sink(double frames_per_s) { sink_alone_ = frames_per_s; }
    Report finish() const;

private:
    using Rounds = std::vector<TrafficFigures>;

    nlohmann::ordered_json facts_of(const std::string& engine) const;
    std::string row_of(const std::string& engine) const;
    std::string heading() const;
    std::string introduction() const;
    LinePlot plot() const;

    const TrafficPlan plan_;
    const WireKind wire_;
    const std::vector<std::string> baselines_;
    const bool zero_loss_;
    std::vector<std::string> engines_;
    std::map<std::string, Rounds> rounds_;
    std::map<std::string, Rounds> rounds_of_one_pair_;
    std::optional<double> source_alone_;
    std::optional<double> sink_alone_;
};

} // namespace tapline::bench
