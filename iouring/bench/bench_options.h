// What the command line of tapline-bench asks for, checked.
#pragma once

#include "iouring/bench/scenario.h"

#include <optional>
#include <string>
#include <vector>

namespace tapline::bench {

struct Task {
    const Scenario* scenario;
    Options options;
    std::optional<std::string> report_folder;
    bool json;
};

// Throws UsageError for options that do not go together, Error for values that cannot be.
Task parse_bench_options(const std::vector<std::string>& arguments);

} // namespace tapline::bench
