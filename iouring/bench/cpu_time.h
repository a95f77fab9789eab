// CPU time that was used, in nanoseconds.
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <cstdint>

namespace tapline::bench {

uint64_t cpu_ns_of_process(pid_t pid);
uint64_t cpu_ns_of_thread(pthread_t thread);
uint64_t cpu_ns_of_task(pid_t tid); // Of this process.
uint64_t cpu_ns_of_this_thread();
// Of all CPUs, for whichever task; to the kernel's tick.
uint64_t softirq_ns();

} // namespace tapline::bench
