// The worker between one tap queue and one pair of virtqueues: a thread with its own io_uring.
//
// The main thread calls start() and stop(); in between the virtqueues, and the descriptors named
// in the plan, belong to the worker. Counters may be read at any time.
#pragma once

#include "iouring/counters.h"
#include "iouring/guest_to_wire.h"
#include "iouring/held_frames.h"
#include "iouring/wire_to_guest.h"
#include "vhost/iotlb.h"
#include "vhost/translation_port.h"
#include "vhost/virtqueue.h"

#include <array>
#include <memory>
#include <optional>
#include <thread>

namespace tapline {

class QueuePair {
public:
    // One direction: its ring and the eventfds that go with it, borrowed until stop().
    struct Lane {
        std::unique_ptr<vhost::Virtqueue> queue;
        int kick;                 // -1: the ring is to be polled.
        int call;                 // -1: the driver polls.
        int error;                // -1: nobody wants to know when the ring breaks.
        bool calls_first = false; // Whatever the driver wants: it may have missed a call.
    };
    struct Plan {
        WireToGuest::Format format;
        GuestToWire::Fate fate;
        std::array<std::optional<Lane>, direction_count> lanes; // By Direction.
        std::shared_ptr<const vhost::Iotlb> iotlb = nullptr;    // Null where there is no IOMMU.
        // Of all pairs; null where there is none. They outlive the worker.
        const PortSecurity* security = nullptr;
        std::array<RateLimit*, direction_count> limits{}; // By Direction.
    };

    // attention: an eventfd the worker writes to when a ring breaks or lacks a translation.
    QueuePair(int tap_fd, int attention, std::unique_ptr<ExpressLane> express = nullptr);
    ~QueuePair() { stop(); }
    QueuePair(const QueuePair&) = delete;
    QueuePair& operator=(const QueuePair&) = delete;

    // Throws Error where the kernel gives no io_uring or no thread.
    void start(Plan plan);
    bool running() const { return worker_.joinable(); }
    // The lanes as the worker left them. Without effect on a pair that does not run.
    std::array<std::optional<Lane>, direction_count> stop();
    bool serves(Direction direction) const {
        return plan_.lanes[static_cast<size_t>(direction)].has_value();
    }
    // Behind an IOMMU: where the worker finds the guest's memory, and what it misses.
    vhost::TranslationPort& translations() { return translations_; }
    // Frames that wait for the guest are dropped: the guest is gone.
    void forget_held_frames() { held_.clear(); }

    const DirectionCounters& counters(Direction direction) const {
        return counters_[static_cast<size_t>(direction)];
    }

private:
    void start_worker();
    // Of the guest nothing is kept: its memory goes when nobody holds it any more.
    void let_go() noexcept;

    const int tap_fd_;
    const int attention_;
    const std::unique_ptr<ExpressLane> express_; // Null: off.
    UniqueFd stop_event_;
    std::array<DirectionCounters, direction_count> counters_;
    HeldFrames held_;
    vhost::TranslationPort translations_;
    Plan plan_;
    std::unique_ptr<Ring> ring_; // Destroyed before what it may still point to.
    std::thread worker_;
};

} // namespace tapline
