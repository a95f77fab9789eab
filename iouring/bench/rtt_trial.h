// One engine and a ping: a frame from the wire that the guest answers, again and again, with a
// pause in between.
#pragma once

#include "backend/macvtap_device.h"
#include "iouring/bench/cpu_split.h"
#include "iouring/bench/engine.h"
#include "iouring/bench/wire.h"

#include <chrono>
#include <memory>
#include <vector>

namespace tapline::bench {

struct RttPlan {
    Mix mix;
    RingLayout layout;
    std::chrono::duration<double> time; // Of each gap.
};

struct RttFigures {
    std::vector<double> times_us; // Of each ping that was answered.
    uint64_t lost = 0;
    double cpu_us = 0; // Of the backend, a ping.
};

class RttTrial {
public:
    // All of these throw Error. What they are given outlives the trial.
    RttTrial(Netlink& netlink, const Wire& wire, const CpuSplit& cpus, const RttPlan& plan,
             const Engine& engine);

    RttFigures run(std::chrono::microseconds gap);

private:
    class Pinger;

    const Wire& wire_;
    const CpuSplit& cpus_;
    const RttPlan plan_;
    OwnedMacvtap device_;
    std::unique_ptr<Station> station_;
};

} // namespace tapline::bench
