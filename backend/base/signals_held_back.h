// Keeps the signals that end a command waiting, so that none comes between a change and its
// undoing.
#pragma once

#include <csignal>

namespace tapline {

class SignalsHeldBack {
public:
    SignalsHeldBack() {
        sigemptyset(&signals_);
        for (const int number : {SIGHUP, SIGINT, SIGTERM}) {
            sigaddset(&signals_, number);
        }
        sigprocmask(SIG_BLOCK, &signals_, &before_);
    }
    SignalsHeldBack(const SignalsHeldBack&) = delete;
    SignalsHeldBack& operator=(const SignalsHeldBack&) = delete;
    ~SignalsHeldBack() { sigprocmask(SIG_SETMASK, &before_, nullptr); }

    bool any() const {
        sigset_t waiting{};
        sigset_t common{};
        return sigpending(&waiting) == 0 && sigandset(&common, &waiting, &signals_) == 0 &&
               sigisemptyset(&common) == 0;
    }

private:
    sigset_t signals_{};
    sigset_t before_{};
};

} // namespace tapline
