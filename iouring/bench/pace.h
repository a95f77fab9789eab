// How many frames are due, each way, at a rate that is given or at none.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace tapline::bench {

class Pace {
public:
    using Time = std::chrono::steady_clock::time_point;

    // rate: frames a second; absent: always as many as the guest sends at a time.
    Pace(std::optional<double> rate, unsigned burst) : rate_(rate), burst_(burst) {}

    unsigned guest_may_send(Time now) const {
        return static_cast<unsigned>(std::min<uint64_t>(due(now, from_guest_), burst_));
    }
    bool wire_may_send(Time now, unsigned count) const { return due(now, from_wire_) >= count; }
    void guest_sent(unsigned count) { from_guest_ += count; }
    void wire_sent(unsigned count) { from_wire_ += count; }

private:
    uint64_t due(Time now, uint64_t sent) const {
        if (!rate_) {
            return burst_;
        }
        const std::chrono::duration<double> passed = now - start_;
        const auto wanted = static_cast<uint64_t>(*rate_ * passed.count());
        return wanted > sent ? wanted - sent : 0;
    }

    std::optional<double> rate_;
    unsigned burst_;
    Time start_ = std::chrono::steady_clock::now();
    uint64_t from_guest_ = 0;
    uint64_t from_wire_ = 0;
};

} // namespace tapline::bench
