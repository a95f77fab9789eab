// What many measured values of one thing say.
#pragma once

#include <nlohmann/json.hpp>

#include <vector>

namespace tapline::bench {

struct Spread {
    double median = 0;
    double min = 0;
    double max = 0;

    static Spread of(const std::vector<double>& values); // All 0 of none.
    // Of values over those of a baseline, pair by pair, so that what the machine did at the time
    // cancels out.
    static Spread of_ratios(const std::vector<double>& values, const std::vector<double>& baseline);
    nlohmann::ordered_json to_json(double digits) const; // Rounded to 1 / digits.
};

// The value that so large a share of them is not over; 0 of none.
double percentile(std::vector<double>& values, double share);

double rounded(double value, double digits);

} // namespace tapline::bench
