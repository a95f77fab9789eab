// tapline-bench: measures Tapline on this machine, in a network of its own, and tells what it ran
// on.
#include "backend/base/error.h"
#include "backend/base/log.h"
#include "backend/base/output.h"
#include "backend/base/program.h"
#include "backend/base/unique_fd.h"
#include "iouring/bench/bench_options.h"
#include "iouring/bench/environment.h"
#include "iouring/bench/private_network.h"
#include "iouring/bench/statistics.h"

#include "config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <glib.h>
#include <sys/stat.h>

namespace tapline::bench {
namespace {

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
    nlohmann::ordered_json facts = {{"scenario", task.scenario->name},
                                    {"version", TAPLINE_VERSION},
                                    {"kernel", environment.kernel},
                                    {"cpu", environment.cpu},
                                    {"cpus", environment.cpus},
                                    {"build", environment.build},
                                    {"busy", rounded(environment.busy, 100)}};
    facts.update(report.facts);
    return facts;
}

int run(const std::vector<std::string>& arguments) {
    if (tell_version("tapline-bench", arguments)) {
        return 0;
    }
    const Task task = parse_bench_options(arguments);
    std::optional<ReportFolder> folder;
    if (task.report_folder) {
        folder = ReportFolder::open(*task.report_folder);
    }
    const Environment environment = Environment::look();
    for (const std::string& doubt : environment.doubts()) {
        log(LogLevel::warning, "{}", doubt);
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
