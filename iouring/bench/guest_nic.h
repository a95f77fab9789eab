// A guest's network card on a backend: its memory, its queue pairs and its driver.
#pragma once

#include "iouring/bench/backend.h"
#include "iouring/bench/receive_queue.h"
#include "iouring/bench/station.h"
#include "iouring/bench/transmit_queue.h"

#include <memory>
#include <vector>

namespace tapline::bench {

class GuestNic final : public Station {
public:
    // Throws Error where the backend lacks a feature that this needs.
    GuestNic(const StationPlan& plan, std::unique_ptr<Backend> backend);

    unsigned send(unsigned max) noexcept override;
    unsigned receive() noexcept override;
    void stop_sending() noexcept override {}
    bool all_taken() noexcept override;
    uint64_t received() const noexcept override;
    Counts counts() override;
    uint64_t cpu_ns() const override { return backend_->cpu_ns(); }

private:
    struct Pair {
        UniqueFd receive_kick;
        UniqueFd receive_call;
        UniqueFd transmit_kick;
        UniqueFd transmit_call;
        std::unique_ptr<DriverRing> receive_ring;
        std::unique_ptr<DriverRing> transmit_ring;
        std::unique_ptr<ReceiveQueue> receive;
        std::unique_ptr<TransmitQueue> transmit;
    };

    GuestRam ram_;
    std::vector<Pair> pairs_;
    size_t next_pair_ = 0;             // To send.
    uint64_t calls_ = 0;               // Of the receive rings, so far.
    std::unique_ptr<Backend> backend_; // Ends before the memory it uses.
};

} // namespace tapline::bench
