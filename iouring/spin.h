// Whether a worker without work looks again or sleeps. To look costs CPU, to sleep costs the next
// frame some 15 us. So it looks for as long as work tends to come soon, and not at all otherwise.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace tapline {

template <typename Clock = std::chrono::steady_clock> class Spin {
public:
    // Longer than a request and its answer take; what a sleep and its end cost, once or twice.
    static constexpr typename Clock::duration longest = std::chrono::microseconds{20};

    // What a turn did. What it was tells when more will come: a guest that was given a request
    // answers soon, one that has sent its answer may hear nothing for long.
    enum class Work : uint8_t { none, taken, given };

    // Before a sleep, which is part of the gap.
    void begin_idling() noexcept {
        if (!idle_since_) {
            idle_since_ = Clock::now();
        }
    }

    // After a turn: whether to look again, should the next one find no work.
    bool pays(Work work) noexcept {
        if (work == Work::none) {
            begin_idling();
            return Clock::now() - *idle_since_ < budget();
        }
        if (idle_since_) {
            learn(Clock::now() - *idle_since_);
            idle_since_.reset();
        }
        last_ = work;
        return budget() > Clock::duration::zero();
    }

private:
    static constexpr typename Clock::duration shortest = std::chrono::microseconds{4};

    // Work that came soon is worth looking for; each that did not halves the time, down to none.
    void learn(typename Clock::duration gap) noexcept {
        budget() = gap < longest ? longest : budget() / 2;
        if (budget() < shortest) {
            budget() = Clock::duration::zero();
        }
    }

    typename Clock::duration& budget() noexcept { return budgets_[static_cast<size_t>(last_)]; }

    std::array<typename Clock::duration, 3> budgets_{}; // By the last work.
    Work last_ = Work::none;
    std::optional<typename Clock::time_point> idle_since_;
};

} // namespace tapline
