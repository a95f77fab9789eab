#include "iouring/bench/cpu_split.h"

#include "backend/base/error.h"

#include <exception>
#include <thread>

namespace tapline::bench {
namespace {

void run_on(const cpu_set_t& cpus) {
    if (sched_setaffinity(0, sizeof cpus, &cpus) < 0) {
        throw Error::from_errno("choose the CPUs to run on");
    }
}

int first_of(const cpu_set_t& cpus) {
    int cpu = 0;
    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &cpus)) {
        ++cpu;
    }
    return cpu;
}

} // namespace

CpuSplit::CpuSplit() {
    if (sched_getaffinity(0, sizeof all_, &all_) < 0) {
        throw Error::from_errno("look which CPUs there are");
    }
    guests_ = all_;
    if (CPU_COUNT(&all_) > 1) {
        const int cpu = first_of(all_);
        CPU_ZERO(&guests_);
        CPU_SET(cpu, &guests_);
        cpu_set_t others = all_;
        CPU_CLR(cpu, &others);
        run_on(others);
    }
}

CpuSplit::~CpuSplit() {
    (void)sched_setaffinity(0, sizeof all_, &all_);
}

void CpuSplit::play(const std::function<void()>& part) const {
    std::exception_ptr failure;
    std::thread player([&] {
        try {
            run_on(guests_);
            part();
        } catch (...) {
            failure = std::current_exception();
        }
    });
    player.join();
    if (failure) {
        std::rethrow_exception(failure);
    }
}

} // namespace tapline::bench
