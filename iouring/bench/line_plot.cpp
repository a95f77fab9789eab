#include "iouring/bench/line_plot.h"

#include <fmt/format.h>
#include <glib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

namespace tapline::bench {
namespace {

// Pixels.
constexpr double width = 760;
constexpr double height = 420;
constexpr double left = 80;
constexpr double right = 190; // Where the labels of the lines stand.
constexpr double top = 50;
constexpr double bottom = 60;
constexpr double plot_width = width - left - right;
constexpr double plot_height = height - top - bottom;

constexpr unsigned steps_wanted = 5;
// Told apart also without colours' red and green (Okabe and Ito).
constexpr std::array colours = {"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9"};

// The distance of round numbers on an axis up to max.
double step_for(double max) {
    const double rough = max / steps_wanted;
    const double power = std::pow(10, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 5.0}) {
        if (rough <= factor * power) {
            return factor * power;
        }
    }
    return 10 * power;
}

struct Axis {
    double step;
    double max;

    static Axis up_to(double value) {
        const double step = step_for(value > 0 ? value : 1);
        return {.step = step, .max = step * std::ceil((value > 0 ? value : 1) / step)};
    }
};

std::string escaped(const std::string& text) {
    g_autofree gchar* markup = g_markup_escape_text(text.c_str(), -1);
    return markup;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
    return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y,
                       anchor, escaped(text));
}

class Canvas {
public:
    Canvas(Axis x, Axis y) : x_(x), y_(y) {}

    std::string grid() const {
        std::string svg;
        for (double value = 0; value <= y_.max * 1.001; value += y_.step) {
            svg += fmt::format("<path d=\"M{:.1f} {:.1f}h{:.1f}\" stroke=\"#ddd\"/>\n", left,
                               y(value), plot_width);
            svg += text_at(left - 8, y(value) + 4, "end", fmt::format("{:g}", value));
        }
        for (double value = 0; value <= x_.max * 1.001; value += x_.step) {
            svg += text_at(x(value), height - bottom + 20, "middle", fmt::format("{:g}", value));
        }
        return svg;
    }

    std::string line(const LinePlot::Line& line, const char* colour) const {
        std::string path;
        std::string dots;
        for (const auto& [at, value] : line.points) {
            path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x(at), y(value));
            dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n",
                                x(at), y(value), colour);
        }
        return fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n",
                           path, colour) +
               dots;
    }

private:
    double x(double value) const { return left + value / x_.max * plot_width; }
    double y(double value) const { return height - bottom - value / y_.max * plot_height; }

    Axis x_;
    Axis y_;
};

std::string legend(const std::string& label, size_t row, const char* colour) {
    const double y = top + 20 * static_cast<double>(row);
    return fmt::format("<path d=\"M{:.1f} {:.1f}h20\" stroke=\"{}\" stroke-width=\"2\"/>\n",
                       width - right + 15, y, colour) +
           text_at(width - right + 40, y + 4, "start", label);
}

} // namespace

std::string LinePlot::svg() const {
    double x_max = 0;
    double y_max = 0;
    for (const Line& line : lines) {
        for (const auto& [x, y] : line.points) {
            x_max = std::max(x_max, x);
            y_max = std::max(y_max, y);
        }
    }
    const Canvas canvas(Axis::up_to(x_max), Axis::up_to(y_max));
    std::string svg = fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:g}\" "
                                  "height=\"{1:g}\" viewBox=\"0 0 {0:g} {1:g}\" "
                                  "font-family=\"sans-serif\" font-size=\"12\">\n"
                                  "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
                                  width, height);
    svg += text_at(left, top - 20, "start", title);
    svg += canvas.grid();
    for (size_t i = 0; i < lines.size(); ++i) {
        const char* colour = colours[i % colours.size()];
        svg += canvas.line(lines[i], colour) + legend(lines[i].label, i, colour);
    }
    svg += text_at(left + plot_width / 2, height - 15, "middle", x_label);
    svg += fmt::format("<text transform=\"translate(20 {:.1f}) rotate(-90)\" "
                       "text-anchor=\"middle\">{}</text>\n",
                       top + plot_height / 2, escaped(y_label));
    return svg + "</svg>\n";
}

} // namespace tapline::bench
