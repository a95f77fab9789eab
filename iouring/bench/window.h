// Holds a source back so that what it has under way fits into the device's queue: then the backend
// has always something to do, and nothing is lost but by the backend.
#pragma once

#include <chrono>
#include <cstdint>

namespace tapline::bench {

class Window {
public:
    using Time = std::chrono::steady_clock::time_point;

    explicit Window(uint64_t frames) : frames_(frames) {}

    // Whether there is room, after so many were sent and so many have come.
    bool is_open(uint64_t sent, uint64_t received, Time now) {
        if (received != received_) {
            received_ = received;
            last_ = now;
        } else if (now - last_ > patience) { // What is missing will not come any more.
            given_up_ = sent - received;
            last_ = now;
        }
        const bool open = sent - received - given_up_ < frames_;
        times_closed_ += open ? 0 : 1;
        return open;
    }

    uint64_t times_closed() const { return times_closed_; }

private:
    static constexpr std::chrono::milliseconds patience{200}; // A backend may not run for a while.

    uint64_t frames_;
    uint64_t received_ = 0;
    uint64_t given_up_ = 0;
    uint64_t times_closed_ = 0;
    Time last_ = std::chrono::steady_clock::now();
};

} // namespace tapline::bench
