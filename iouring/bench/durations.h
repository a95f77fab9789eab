// Measured times of one thing, done several times.
#pragma once

#include <chrono>
#include <vector>

namespace tapline::bench {

class Stopwatch {
public:
    // Microseconds since the last lap, or since its making.
    double lap_us();

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

double median(std::vector<double> values); // 0 of none.

} // namespace tapline::bench
