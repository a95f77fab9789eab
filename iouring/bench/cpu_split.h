// Who runs where: one CPU plays the guest and the far side of the wire, the others are the
// backends'. A single CPU is everybody's.
#pragma once

#include <sched.h>

#include <functional>

namespace tapline::bench {

class CpuSplit {
public:
    // The calling thread, and all that it starts from here on, leaves the guest's CPU.
    CpuSplit();
    ~CpuSplit();
    CpuSplit(const CpuSplit&) = delete;
    CpuSplit& operator=(const CpuSplit&) = delete;

    // In a thread of its own on the guest's CPU. Throws what it throws.
    void play(const std::function<void()>& part) const;

private:
    cpu_set_t all_;
    cpu_set_t guests_;
};

} // namespace tapline::bench
