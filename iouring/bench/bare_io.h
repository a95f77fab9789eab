// The ceiling: the pump's batched reads and writes on the tap queues, from and to private buffers,
// with no guest. A thread for each queue.
#pragma once

#include "backend/tap_queue.h"
#include "iouring/bench/station.h"
#include "iouring/ring.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace tapline::bench {

class BareIo final : public Station {
public:
    BareIo(std::vector<TapQueue> taps, const StationPlan& plan); // Throws Error.
    ~BareIo() override;

    unsigned send(unsigned) noexcept override {
        sends_ = plan_.sends; // From now on.
        return 0;
    }
    unsigned receive() noexcept override { return 0; }
    void stop_sending() noexcept override { sends_ = false; }
    bool all_taken() noexcept override { return true; }
    uint64_t received() const noexcept override;
    Counts counts() override;
    uint64_t cpu_ns() const override;

private:
    struct Queue;

    void run(Queue& queue) noexcept;

    const StationPlan plan_;
    std::atomic<bool> sends_ = false;
    std::atomic<bool> ends_ = false;
    std::vector<TapQueue> taps_;
    std::vector<std::unique_ptr<Queue>> queues_;
};

} // namespace tapline::bench
