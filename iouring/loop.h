// The packet path of one queue pair: everything that happens between a kick or a frame on the
// wire and the guest's interrupt. Runs on a worker thread; never blocks but to sleep when idle,
// never allocates, locks or logs.
#pragma once

#include "iouring/guest_to_wire.h"
#include "iouring/queue_pair.h"
#include "iouring/ring.h"
#include "iouring/spin.h"
#include "iouring/wire_to_guest.h"

#include <array>
#include <chrono>
#include <optional>

namespace tapline {

class Loop {
public:
    struct Events {
        int stop;      // Readable: run() returns.
        int attention; // Written when a ring breaks; ours, so it never blocks.
    };

    // plan, held, counters and express, if there is one, belong to the loop while it lives.
    // translations: null where there is no IOMMU.
    Loop(Ring& ring, QueuePair::Plan& plan, HeldFrames& held,
         std::array<DirectionCounters, direction_count>& counters, ExpressLane* express,
         const Events& events, vhost::TranslationPort* translations = nullptr);

    void run() noexcept;

private:
    // idle --publish() wants a call--> sent; sent --completion--> idle;
    // sent --publish() wants a call--> sent_again --completion--> sent, with a second call.
    enum class Call : uint8_t { idle, sent, sent_again };

    // Between looks at a ring without kicks: twice as long after each look that found nothing.
    static constexpr std::chrono::microseconds poll_pause_min{50};
    static constexpr std::chrono::microseconds poll_pause_max{1000};

    void arm() noexcept;
    void translate() noexcept;
    void let_go_of_translations() noexcept;
    void watch_tap() noexcept;
    void sleep(std::optional<std::chrono::nanoseconds> limit) noexcept;
    std::chrono::microseconds next_poll_pause() noexcept;
    void reap() noexcept;
    void completed(Tag tag, int32_t result, bool more) noexcept; // All but reads.
    bool publish() noexcept; // Whether the guest was given frames.
    void call(Direction direction) noexcept;
    void called(Direction direction) noexcept;
    void finish_calls() noexcept;
    void note_faults() noexcept;
    void note_misses() noexcept;
    std::optional<std::chrono::nanoseconds> time_to_hold() noexcept;
    // How long a direction over its rate has to wait.
    std::optional<RateLimit::Time> send_wait() const noexcept;
    std::optional<RateLimit::Time> read_wait() const noexcept;
    QueuePair::Lane* lane(Direction direction) noexcept;

    Ring& ring_;
    QueuePair::Plan& plan_;
    std::array<DirectionCounters, direction_count>& counters_;
    const Events events_;
    vhost::TranslationPort* const translations_;
    std::optional<uint64_t> generation_; // Of the table in use.

    std::optional<GuestToWire> guest_to_wire_;
    std::optional<WireToGuest> wire_to_guest_;

    std::array<Call, direction_count> calls_{};
    std::array<bool, direction_count> fault_noted_{};
    std::chrono::microseconds poll_pause_ = poll_pause_min;
    std::optional<std::chrono::steady_clock::time_point> held_since_;
    uint64_t held_behind_ = 0; // Frames the guest had been given by then.
    Spin<> spin_;
    bool looking_ = false; // The tap queue is read each turn and not watched.
    bool tap_readable_ = false;
    bool tap_polled_ = false;
    bool stopping_ = false;
};

} // namespace tapline
