// Keeps a guest from filling the log with what it can cause as often as it likes.
#pragma once

#include <chrono>
#include <optional>

namespace tapline::libvirt {

// For lines of one kind, on one card.
class LogLimit {
public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::minutes pause{1};

    bool allows(Clock::time_point now = Clock::now()) {
        if (next_ && now < *next_) {
            return false;
        }
        next_ = now + pause;
        return true;
    }

private:
    std::optional<Clock::time_point> next_;
};

} // namespace tapline::libvirt
