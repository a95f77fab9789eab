// tapline-bench: measures Tapline on this machine, in a network of its own, and tells what it ran
// on.
#include "backend/base/command_line.h"
#include "backend/base/error.h"
#include "backend/base/log.h"
#include "backend/base/number.h"
#include "backend/base/output.h"
#include "backend/base/program.h"
#include "backend/base/unique_fd.h"
#include "iouring/bench/devices.h"
#include "iouring/bench/environment.h"
#include "iouring/bench/private_network.h"
#include "iouring/bench/scenario.h"

#include "config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <glib.h>
#include <sys/stat.h>

#include <algorithm>
#include <sstream>

namespace tapline::bench {
namespace {

constexpr Scenario scenarios[] = {
    {"devices", "make, list and delete devices, against the same requests bare", measure_devices}};

constexpr unsigned rounds_max = 100000;
constexpr unsigned devices_max = 4000; // What a parent's one list of them is good for.

struct Task {
    const Scenario* scenario = &scenarios[0];
    Options options = {};
    std::optional<std::string> report_folder = {};
    bool json = false;
};

const Scenario& find_scenario(const std::string& name) {
    const auto* found = std::ranges::find(scenarios, name, &Scenario::name);
    if (found == std::end(scenarios)) {
        std::string known;
        for (const Scenario& scenario : scenarios) {
            known += fmt::format("{}{}", known.empty() ? "" : ", ", scenario.name);
        }
        throw UsageError(fmt::format("no scenario '{}': there is {}", name, known));
    }
    return *found;
}

std::vector<unsigned> parse_counts(const std::string& text) {
    std::vector<unsigned> counts;
    std::istringstream stream(text);
    for (std::string count; std::getline(stream, count, ',');) {
        counts.push_back(parse_number("number of devices", count, 1U, devices_max));
    }
    if (counts.empty() || !std::ranges::is_sorted(counts, std::less_equal())) {
        throw UsageError("--devices needs numbers that grow, between commas");
    }
    return counts;
}

Task parse(const std::vector<std::string>& arguments) {
    Task task;
    std::optional<std::string> scenario;
    std::optional<std::string> rounds;
    std::optional<std::string> devices;
    CommandLine command_line("", "Measure Tapline on this machine, in a network of its own.");
    command_line.value("scenario", "NAME", "What to measure (default: devices)", scenario);
    command_line.value("rounds", "N", "Times each thing is measured (default: 30)", rounds);
    command_line.value("devices", "N[,N...]",
                       "How many at the same time (default: 125,250,500,1000)", devices);
    command_line.value("program", "PATH", "Measure also the processes of this tapline",
                       task.options.program);
    command_line.flag("json", "Print the figures as a JSON object", task.json);
    command_line.value("report", "DIR", "Write report.json and plots there", task.report_folder);
    command_line.parse_options(arguments);
    if (scenario) {
        task.scenario = &find_scenario(*scenario);
    }
    if (rounds) {
        task.options.rounds = parse_number("number of rounds", *rounds, 1U, rounds_max);
    }
    if (devices) {
        task.options.device_counts = parse_counts(*devices);
    }
    return task;
}

// Opened before anything is measured, and before /run is a private one.
class ReportFolder {
public:
    static ReportFolder open(const std::string& path) {
        g_mkdir_with_parents(path.c_str(), 0755);
        UniqueFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!fd) {
            throw Error::from_errno(fmt::format("open report folder '{}'", path));
        }
        return ReportFolder(std::move(fd));
    }

    void write(const std::string& name, const std::string& text) const {
        const std::string path = fmt::format("/proc/self/fd/{}/{}", fd_.get(), name);
        g_autoptr(GError) failure = nullptr;
        if (g_file_set_contents(path.c_str(), text.c_str(), static_cast<gssize>(text.size()),
                                &failure) == FALSE) {
            throw Error({.operation = fmt::format("write '{}' into the report folder", name),
                         .cause = failure->message});
        }
    }

private:
    explicit ReportFolder(UniqueFd fd) : fd_(std::move(fd)) {}

    UniqueFd fd_;
};

std::string opening(const Environment& environment) {
    return fmt::format("Linux {}, {} CPUs ({}), tapline {} ({} build)\n\n", environment.kernel,
                       environment.cpus, environment.cpu, TAPLINE_VERSION, environment.build);
}

nlohmann::ordered_json whole(const Task& task, const Environment& environment,
                             const Report& report) {
    nlohmann::ordered_json facts = {
        {"scenario", task.scenario->name}, {"version", TAPLINE_VERSION},
        {"kernel", environment.kernel},    {"cpu", environment.cpu},
        {"cpus", environment.cpus},        {"build", environment.build}};
    facts.update(report.facts);
    return facts;
}

int run(const std::vector<std::string>& arguments) {
    if (arguments.size() == 2 && arguments[1] == "--version") {
        print("tapline-bench {}\n", TAPLINE_VERSION);
        return 0;
    }
    const Task task = parse(arguments);
    std::optional<ReportFolder> folder;
    if (task.report_folder) {
        folder = ReportFolder::open(*task.report_folder);
    }
    const Environment environment = Environment::look();
    if (!environment.is_release()) {
        log(LogLevel::warning, "this is a {} build: its figures mean little", environment.build);
    }
    enter_private_network();
    const Report report = task.scenario->run(task.options);
    const nlohmann::ordered_json facts = whole(task, environment, report);
    print_text(task.json ? facts.dump() + '\n' : opening(environment) + report.table);
    if (folder) {
        folder->write("report.json", facts.dump(2) + '\n');
        for (const LinePlot& plot : report.plots) {
            folder->write(plot.name + ".svg", plot.svg());
        }
    }
    return 0;
}

} // namespace
} // namespace tapline::bench

int main(int argc, char** argv) {
    return tapline::run_program("tapline-bench", [&] {
        return tapline::bench::run({argv, argv + argc});
    });
}
