#include "iouring/bench/environment.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <fstream>
#include <thread>

namespace tapline::bench {
namespace {

std::string cpu_model() {
    std::ifstream facts("/proc/cpuinfo");
    for (std::string line; std::getline(facts, line);) {
        const auto colon = line.find(": ");
        if (line.starts_with("model name") && colon != std::string::npos) {
            return line.substr(colon + 2);
        }
    }
    return "unknown";
}

double load_average() {
    std::ifstream facts("/proc/loadavg");
    double load = 0;
    facts >> load;
    return load;
}

constexpr double load_max = 0.5;

} // namespace

Environment Environment::look() {
    utsname system{};
    uname(&system);
    return {.kernel = system.release,
            .cpu = cpu_model(),
            .cpus = std::thread::hardware_concurrency(),
            .build = TAPLINE_BUILD_TYPE,
            .load = load_average()};
}

std::vector<std::string> Environment::doubts() const {
    std::vector<std::string> sentences;
    if (build != "release") {
        sentences.push_back(fmt::format("this is a {} build: its figures mean little", build));
    }
    if (cpus < 2) {
        sentences.emplace_back("there is one CPU for guest and backend: figures mean little");
    }
    if (load > load_max) {
        sentences.push_back(
            fmt::format("the machine is busy (load average {:.1f}): figures mean little", load));
    }
    return sentences;
}

} // namespace tapline::bench
