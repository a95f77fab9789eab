// Whether a worker without work looks again or sleeps. To look costs CPU, to sleep costs the next
// frame some 15 us. So it looks for as long as work tends to come soon, and not at all otherwise.
#pragma once

#include <chrono>
#include <optional>

namespace tapline {

template <typename Clock = std::chrono::steady_clock> class Spin {
public:
    // Longer than a request and its answer take, far shorter than a time slice.
    static constexpr typename Clock::duration longest = std::chrono::microseconds{50};

    // After a turn: whether to look again, should the next one find no work.
    bool pays(bool worked) noexcept {
        if (!worked) {
            const auto now = Clock::now();
            if (!idle_since_) {
                idle_since_ = now;
            }
            return now - *idle_since_ < budget_;
        }
        if (idle_since_) {
            learn(Clock::now() - *idle_since_);
            idle_since_.reset();
        }
        return budget_ > Clock::duration::zero();
    }

private:
    static constexpr typename Clock::duration shortest = std::chrono::microseconds{5};

    // Work that came soon is worth looking for; each that did not halves the time, down to none.
    void learn(typename Clock::duration gap) noexcept {
        budget_ = gap < longest ? longest : budget_ / 2;
        if (budget_ < shortest) {
            budget_ = Clock::duration::zero();
        }
    }

    typename Clock::duration budget_ = Clock::duration::zero();
    std::optional<typename Clock::time_point> idle_since_;
};

} // namespace tapline
