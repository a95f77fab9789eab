// What the wire's two ends reach by themselves: they shall not be what limits a backend.
#pragma once

#include "iouring/bench/cpu_split.h"
#include "iouring/bench/frame.h"
#include "iouring/bench/wire.h"

namespace tapline::bench {

// Frames a second, as many as the source makes for a device that nobody reads. Throws Error.
double source_alone(Netlink& netlink, const Wire& wire, const CpuSplit& cpus, const Mix& mix);
// Frames a second, as many as get to the far side from a packet socket, one system call each: the
// sink takes at least those. Throws Error.
double sink_alone(const Wire& wire, const CpuSplit& cpus, const Mix& mix);

} // namespace tapline::bench
