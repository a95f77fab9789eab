#include "iouring/bench/statistics.h"

#include "iouring/bench/durations.h"

#include <algorithm>
#include <cmath>

namespace tapline::bench {

Spread Spread::of(const std::vector<double>& values) {
    if (values.empty()) {
        return {};
    }
    const auto [min, max] = std::ranges::minmax(values);
    return {.median = bench::median(values), .min = min, .max = max};
}

Spread Spread::of_ratios(const std::vector<double>& values, const std::vector<double>& baseline) {
    std::vector<double> ratios;
    for (size_t i = 0; i < std::min(values.size(), baseline.size()); ++i) {
        if (baseline[i] > 0) {
            ratios.push_back(values[i] / baseline[i]);
        }
    }
    return of(ratios);
}

nlohmann::ordered_json Spread::to_json(double digits) const {
    return {{"median", rounded(median, digits)},
            {"min", rounded(min, digits)},
            {"max", rounded(max, digits)}};
}

double percentile(std::vector<double>& values, double share) {
    if (values.empty()) {
        return 0;
    }
    const auto rank = static_cast<size_t>(share * static_cast<double>(values.size() - 1));
    const auto at = values.begin() + static_cast<ptrdiff_t>(rank);
    std::ranges::nth_element(values, at);
    return *at;
}

double rounded(double value, double digits) {
    return std::round(value * digits) / digits;
}

} // namespace tapline::bench
