#include "iouring/bench/cpu_time.h"

#include <fmt/format.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <string>

namespace tapline::bench {
namespace {

constexpr uint64_t second_ns = 1'000'000'000;

uint64_t read_clock(clockid_t clock) {
    timespec time{};
    return clock_gettime(clock, &time) == 0 ? static_cast<uint64_t>(time.tv_sec) * second_ns +
                                                  static_cast<uint64_t>(time.tv_nsec)
                                            : 0;
}

} // namespace

uint64_t cpu_ns_of_process(pid_t pid) {
    clockid_t clock = 0;
    return clock_getcpuclockid(pid, &clock) == 0 ? read_clock(clock) : 0;
}

uint64_t cpu_ns_of_thread(pthread_t thread) {
    clockid_t clock = 0;
    return pthread_getcpuclockid(thread, &clock) == 0 ? read_clock(clock) : 0;
}

uint64_t cpu_ns_of_task(pid_t tid) {
    std::ifstream file(fmt::format("/proc/self/task/{}/schedstat", tid));
    uint64_t run_ns = 0;
    file >> run_ns;
    return run_ns;
}

uint64_t cpu_ns_of_this_thread() {
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t softirq_ns() {
    std::ifstream file("/proc/stat");
    std::string name;
    uint64_t user = 0;
    uint64_t nice = 0;
    uint64_t system = 0;
    uint64_t idle = 0;
    uint64_t iowait = 0;
    uint64_t irq = 0;
    uint64_t softirq = 0;
    file >> name >> user >> nice >> system >> idle >> iowait >> irq >> softirq;
    return softirq * (second_ns / static_cast<uint64_t>(sysconf(_SC_CLK_TCK)));
}

} // namespace tapline::bench
