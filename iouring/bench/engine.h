// What is measured: each way to move frames between a macvtap device and whoever uses it.
#pragma once

#include "backend/macvtap_device.h"
#include "iouring/bench/station.h"

#include <memory>
#include <string>
#include <vector>

namespace tapline::bench {

struct Engine {
    enum class Kind { pump, loop, bare, vhost_net, peer };

    Kind kind;
    std::string name;
    std::vector<std::string> command = {}; // Of a program, with {socket}, {device} and {queues}.

    static Engine pump(const std::string& program);
    static Engine peer(const std::string& command_line); // Throws UsageError.
    static Engine baseline(const std::string& name);     // Throws UsageError.

    bool has_guest() const { return kind != Kind::bare; }
    // Why it cannot run here; empty where it can.
    std::string obstacle(RingLayout layout) const;
    // Throws Error.
    std::unique_ptr<Station> start(const StationPlan& plan, const MacvtapDevice& device) const;
};

} // namespace tapline::bench
