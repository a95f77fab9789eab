// Runs the pump's loop for a fixed number of frames under callgrind, which counts the instructions
// that the loop takes for them outside the kernel. Guest and wire do their part in between, when
// the loop is about to enter the kernel; their instructions are not counted.

#include "iouring/loop.h"
#include "tests/fakes/wire.h"
#include "tests/micro/guest_lane.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <valgrind/callgrind.h>

#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

std::function<void()> before_enter;

} // namespace

// The linker lets the pump's calls of these functions come here (--wrap).
extern "C" {
int __real_io_uring_submit_and_get_events(io_uring* ring);
int __wrap_io_uring_submit_and_get_events(io_uring* ring) {
    before_enter();
    return __real_io_uring_submit_and_get_events(ring);
}

int __real_io_uring_submit_and_wait_timeout(io_uring* ring, io_uring_cqe** completion,
                                            unsigned count, __kernel_timespec* time,
                                            sigset_t* mask);
int __wrap_io_uring_submit_and_wait_timeout(io_uring* ring, io_uring_cqe** completion,
                                            unsigned count, __kernel_timespec* time,
                                            sigset_t* mask) {
    before_enter();
    return __real_io_uring_submit_and_wait_timeout(ring, completion, count, time, mask);
}
}

namespace tapline::micro {
namespace {

constexpr size_t header_bytes = 12;
constexpr uint32_t frame_bytes = 64 + header_bytes;
constexpr uint32_t receive_buffer_bytes = 1536;
constexpr uint16_t ring_size = 256;
constexpr unsigned warm_up_frames = 1024; // Until batches have the size they keep.
constexpr unsigned counted_frames = 4096;

struct Case {
    Direction direction;
    bool packed;
    unsigned batch; // Frames the guest or the wire has ready for each turn; 1 or a full turn's.

    std::string name() const {
        return fmt::format(
            "{} {} {}", direction == Direction::guest_to_wire ? "guest-to-wire" : "wire-to-guest",
            packed ? "packed" : "split", batch == 1 ? "lone" : "full");
    }
};

class Run {
public:
    explicit Run(const Case& what);
    void operator()();

private:
    void act();
    void send_from_guest();
    void send_from_wire();

    const Case case_;
    fakes::Wire wire_;
    UniqueFd stop_ = fakes::make_eventfd();
    UniqueFd kick_ = fakes::make_eventfd();
    GuestLane lane_;
    std::array<DirectionCounters, direction_count> counters_;
    HeldFrames held_;
    unsigned frames_sent_ = 0;
    unsigned frames_done_ = 0; // Those the guest got, or got back.
    bool counting_ = false;
};

Run::Run(const Case& what) : case_(what), lane_(what.packed, ring_size) {
    if (case_.direction == Direction::wire_to_guest) {
        lane_.add(ring_size, receive_buffer_bytes, true);
    }
}

void Run::operator()() {
    QueuePair::Plan plan{.format = {.header_bytes = header_bytes, .mergeable = true},
                         .fate = GuestToWire::Fate::send,
                         .lanes = {}};
    plan.lanes[static_cast<size_t>(case_.direction)] =
        QueuePair::Lane{.queue = lane_.take_queue(), .kick = kick_.get(), .call = -1, .error = -1};
    const auto ring = Ring::create(wire_.tap_fd(), &held_);
    Loop loop(*ring, plan, held_, counters_, nullptr, {.stop = stop_.get(), .attention = -1});
    before_enter = [this] { act(); };
    loop.run();
    const std::string name = case_.name();
    CALLGRIND_DUMP_STATS_AT(name.c_str());
}

void Run::act() {
    if (counting_) {
        CALLGRIND_TOGGLE_COLLECT;
    }
    const unsigned done = lane_.take_back();
    frames_done_ += done;
    if (case_.direction == Direction::guest_to_wire) {
        send_from_guest();
    } else {
        lane_.add(done, receive_buffer_bytes, true);
        send_from_wire();
    }
    if (lane_.driver().kick_is_wanted()) {
        eventfd_write(kick_.get(), 1);
    }
    const unsigned end = warm_up_frames + counted_frames;
    if (frames_done_ >= end) {
        counting_ = false;
        eventfd_write(stop_.get(), 1);
        return;
    }
    counting_ = frames_done_ >= warm_up_frames;
    if (counting_) {
        CALLGRIND_TOGGLE_COLLECT;
    }
}

// The chains of the batch before go to the wire on this enter; these are the next one.
void Run::send_from_guest() {
    std::array<std::byte, frame_bytes> received{};
    while (recv(wire_.far_fd(), received.data(), received.size(), MSG_DONTWAIT) > 0) {}
    lane_.add(case_.batch, frame_bytes, false);
}

// A long batch has another one behind it, so that no read finds the tap empty.
void Run::send_from_wire() {
    const unsigned ready = case_.batch > 1 ? 2 * case_.batch : 1;
    for (; frames_sent_ < frames_done_ + ready; ++frames_sent_) {
        wire_.send(std::array<std::byte, frame_bytes>{});
    }
}

} // namespace
} // namespace tapline::micro

// All cases, or the one that is named: then callgrind_annotate tells which functions they go to.
int main(int argc, char** argv) {
    using namespace tapline;
    for (const Direction direction : {Direction::guest_to_wire, Direction::wire_to_guest}) {
        for (const bool packed : {false, true}) {
            for (const unsigned batch : {frames_per_turn_max, 1u}) {
                const micro::Case one{.direction = direction, .packed = packed, .batch = batch};
                if (argc < 2 || one.name() == argv[1]) {
                    micro::Run{one}();
                }
            }
        }
    }
    fmt::print("{{\"built with\": \"{}\", \"frames\": {}}}\n", BUILT_WITH, micro::counted_frames);
}
