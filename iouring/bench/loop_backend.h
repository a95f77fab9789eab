// The baseline: what back ends in user space commonly are, a thread that waits in poll() and moves
// each frame by a readv() or writev() of its own. Protocol and virtqueues are those of the pump.
#pragma once

#include "backend/tap_queue.h"
#include "iouring/bench/backend.h"
#include "iouring/bench/front_end.h"
#include "vhost/socket.h"

#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace tapline::bench {

class LoopBackend final : public Backend {
public:
    LoopBackend(std::vector<TapQueue> taps, const std::string& socket_path);
    ~LoopBackend() override;

    uint64_t offered_features() override { return front_end_->offered_features(); }
    void start(uint64_t features, const GuestRam& ram, std::span<const SharedRing> rings) override {
        front_end_->start(features, ram, rings);
    }
    uint64_t cpu_ns() const override;

private:
    vhost::ListeningSocket listener_;
    std::vector<TapQueue> taps_;
    std::thread thread_; // Ends when the front end has gone.
    std::optional<FrontEnd> front_end_;
};

} // namespace tapline::bench
