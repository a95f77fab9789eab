// What the benchmark can be asked for, and what an answer consists of.
#pragma once

#include "iouring/bench/engine.h"
#include "iouring/bench/line_plot.h"
#include "iouring/bench/private_network.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace tapline::bench {

struct Options {
    std::optional<unsigned> rounds; // Absent: the scenario's own.
    std::vector<unsigned> device_counts = {125, 250, 500, 1000};
    std::optional<std::string> program; // The `tapline` whose processes are measured, too.

    // Of scenarios with frames.
    std::chrono::duration<double> time{0.5}; // Of a round.
    std::vector<Engine> engines;             // Baselines behind what is compared with them.
    std::vector<std::string> baselines = {}; // Their names.
    std::optional<WireKind> wire;            // Absent: the scenario's own.
    Mix mix = Mix::of(frame_bytes_min);
    RingLayout layout = RingLayout::split;
    uint16_t queue_pairs = 1;
    bool zero_loss = false;
    bool flood = false; // The wire, not only the guest, sends as much as it can.
};

struct Report {
    nlohmann::ordered_json facts = {};
    std::string table = {}; // The same for people.
    std::vector<LinePlot> plots = {};
};

struct Scenario {
    const char* name;
    const char* help;
    const char* options;           // That it takes, between spaces.
    Report (*run)(const Options&); // In a private network. Throws Error.
};

} // namespace tapline::bench
