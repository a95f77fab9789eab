#include "iouring/bench/environment.h"

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

} // namespace

Environment Environment::look() {
    utsname system{};
    uname(&system);
    return {.kernel = system.release,
            .cpu = cpu_model(),
            .cpus = std::thread::hardware_concurrency(),
            .build = TAPLINE_BUILD_TYPE};
}

} // namespace tapline::bench
