#include "iouring/bench/environment.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <chrono>
#include <fstream>
#include <thread>

namespace tapline::bench {
namespace {

constexpr std::chrono::milliseconds look_for{100};
constexpr double busy_max = 0.1;

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

struct CpuTimes { // In the kernel's ticks, of all CPUs.
    uint64_t idle = 0;
    uint64_t all = 0;

    static CpuTimes now() {
        std::ifstream facts("/proc/stat");
        std::string name;
        facts >> name;
        CpuTimes times;
        uint64_t ticks = 0;
        for (unsigned column = 0; column < columns && facts >> ticks; ++column) {
            times.all += ticks;
            times.idle += column == idle_column || column == iowait_column ? ticks : 0;
        }
        return times;
    }

    static constexpr unsigned columns = 8; // Up to "steal"; guests' time is in "user" already.
    static constexpr unsigned idle_column = 3;
    static constexpr unsigned iowait_column = 4;
};

double busy_share() {
    const CpuTimes before = CpuTimes::now();
    std::this_thread::sleep_for(look_for);
    const CpuTimes after = CpuTimes::now();
    const auto all = static_cast<double>(after.all - before.all);
    return all > 0 ? 1 - static_cast<double>(after.idle - before.idle) / all : 0;
}

} // namespace

Environment Environment::look() {
    utsname system{};
    uname(&system);
    return {.kernel = system.release,
            .cpu = cpu_model(),
            .cpus = std::thread::hardware_concurrency(),
            .build = TAPLINE_BUILD_TYPE,
            .busy = busy_share()};
}

std::vector<std::string> Environment::doubts() const {
    std::vector<std::string> sentences;
    if (build != "release") {
        sentences.push_back(fmt::format("this is a {} build: its figures mean little", build));
    }
    if (cpus < 2) {
        sentences.emplace_back("there is one CPU for guest and backend: figures mean little");
    }
    if (busy > busy_max) {
        sentences.push_back(fmt::format(
            "others use {:.0f} % of the CPUs at the moment: figures mean little", 100 * busy));
    }
    return sentences;
}

} // namespace tapline::bench
