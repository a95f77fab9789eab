#include "iouring/queue_pair.h"

#include "backend/base/error.h"
#include "iouring/loop.h"

#include <sys/eventfd.h>

#include <csignal>
#include <system_error>
#include <utility>

namespace tapline {
namespace {

UniqueFd make_eventfd() {
    UniqueFd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd) {
        throw Error::from_errno("make an eventfd");
    }
    return fd;
}

// Signals are the main thread's: a thread inherits the mask of the one that starts it.
class BlockedSignals {
public:
    BlockedSignals() {
        sigset_t all;
        sigfillset(&all);
        sigdelset(&all, SIGBUS); // Raised by the worker's own access to revoked guest memory.
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;

private:
    sigset_t before_;
};

} // namespace

QueuePair::QueuePair(int tap_fd, int attention, std::unique_ptr<ExpressLane> express)
    : tap_fd_(tap_fd),
      attention_(attention),
      express_(std::move(express)),
      stop_event_(make_eventfd()) {}

void QueuePair::start(Plan plan) {
    plan_ = std::move(plan);
    try {
        start_worker();
    } catch (...) {
        let_go();
        throw;
    }
}

void QueuePair::start_worker() {
    translations_.publish(plan_.iotlb);
    ring_ = Ring::create(tap_fd_, &held_);
    const BlockedSignals blocked;
    try {
        auto loop =
            std::make_unique<Loop>(*ring_, plan_, held_, counters_, express_.get(),
                                   Loop::Events{.stop = stop_event_.get(), .attention = attention_},
                                   plan_.iotlb ? &translations_ : nullptr);
        worker_ = std::thread([loop = std::move(loop)] { loop->run(); });
    } catch (const std::system_error& error) {
        throw Error::from_errno("start a worker thread", "", error.code().value());
    }
}

std::array<std::optional<QueuePair::Lane>, direction_count> QueuePair::stop() {
    if (!running()) {
        return {};
    }
    eventfd_write(stop_event_.get(), 1);
    worker_.join();
    eventfd_t drained = 0;
    eventfd_read(stop_event_.get(), &drained);
    auto lanes = std::exchange(plan_.lanes, {});
    let_go();
    return lanes;
}

void QueuePair::let_go() noexcept {
    ring_.reset();
    translations_.clear();
    plan_ = {};
}

} // namespace tapline
