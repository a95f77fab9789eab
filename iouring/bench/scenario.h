// What the benchmark can be asked for, and what an answer consists of.
#pragma once

#include "iouring/bench/line_plot.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

namespace tapline::bench {

struct Options {
    unsigned rounds = 30;
    std::vector<unsigned> device_counts = {125, 250, 500, 1000};
    std::optional<std::string> program; // The `tapline` whose processes are measured, too.
};

struct Report {
    nlohmann::ordered_json facts = {};
    std::string table = {}; // The same for people.
    std::vector<LinePlot> plots = {};
};

struct Scenario {
    const char* name;
    const char* help;
    Report (*run)(const Options&); // In a private network. Throws Error.
};

} // namespace tapline::bench
