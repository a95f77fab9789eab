// Waits for something that no descriptor tells of, with a deadline.
#pragma once

#include "tests/fakes/front_end.h"

#include <chrono>
#include <thread>

namespace tapline {

template <typename Condition> bool eventually(Condition holds) {
    const auto until = std::chrono::steady_clock::now() + fakes::deadline;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > until) {
            return false;
        }
        std::this_thread::yield();
    }
    return true;
}

} // namespace tapline
