// A plot of lines over numbers, as an SVG file shows it.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tapline::bench {

struct LinePlot {
    struct Line {
        std::string label;
        std::vector<std::pair<double, double>> points; // From left to right.
    };

    std::string name; // Of the file, without .svg.
    std::string title;
    std::string x_label;
    std::string y_label;
    std::vector<Line> lines;

    std::string svg() const; // Both axes begin at zero.
};

} // namespace tapline::bench
