// Frames from the tap queue to the guest's receive ring.
//
// A read takes one frame and cuts it off silently where its buffers end, and nobody can ask for
// the length beforehand. So each read is offered room for the largest frame there is:
//   small frames   many reads a turn, each into registered memory of ours, copied from there:
//                  a copy of a few cache lines costs less than a read into scattered parts;
//   large frames   straight into as many chains as recent frames needed, with room of ours behind
//                  them; what does not land in its right place is copied there, in order.
// Chains are used strictly in the ring's order.
#pragma once

#include "iouring/counters.h"
#include "iouring/held_frames.h"
#include "iouring/rate_limit.h"
#include "iouring/ring.h"
#include "vhost/virtqueue.h"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tapline {

class WireToGuest {
public:
    struct Format {
        size_t header_bytes; // 10 or 12; only the latter has num_buffers.
        bool mergeable;
    };

    // limit: null where there is none; outlives this.
    WireToGuest(vhost::Virtqueue& queue, const Format& format, HeldFrames& held,
                DirectionCounters& counters, RateLimit* limit = nullptr);

    // Queues reads, no more than the guest has chains for. Returns the chains dealt with: read
    // for, or given back because they can hold no frame.
    unsigned offer(Ring& ring) noexcept;
    void completed(uint16_t slot, int32_t result) noexcept { results_[slot] = result; }
    // After submit: gives the guest what the reads brought. True: the driver wants a call.
    bool publish() noexcept;

    // The last turn gave the guest one frame at least.
    bool gave_frames() const { return frames_given_ > 0; }
    // A read of the last turn found no frame: the tap queue is empty.
    bool tap_is_empty() const { return tap_is_empty_; }
    // A frame waits for the guest to make more chains available.
    bool holds_frame() const { return !held_.empty(); }
    // How long frames have to stay in the tap queue; nothing where they may come.
    std::optional<RateLimit::Time> wait() const { return wait_; }
    // The guest had its time: the frame is dropped, those behind it may fit.
    void give_up_held() noexcept;

private:
    struct Group {    // Chains that hold a frame together.
        size_t first; // In chains_.
        size_t count;
        size_t room; // Bytes.
    };
    struct Read { // Of a large frame.
        Group group;
        std::span<const iovec> parts;
    };
    struct Brought { // By the reads of a turn.
        void add(int32_t result) noexcept;
        unsigned frames = 0;
        uint32_t longest = 0; // Bytes.
    };

    void begin_turn() noexcept;
    bool limit_reads() noexcept;
    void charge_reads() noexcept;
    bool holds_frames(const vhost::Chain& chain) const noexcept;
    bool look_at_next_chain() noexcept;
    Group gather(size_t first, size_t bytes) noexcept;
    std::span<const vhost::Chain> chains_of(const Group& group) const noexcept;
    void offer_chains(Ring& ring, unsigned count) noexcept;
    void queue_read(Ring& ring, Group group) noexcept;
    Brought copy_to_chains() noexcept;
    Brought place_reads() noexcept;
    static void set_num_buffers(const Format& format, std::byte* frame, size_t count) noexcept;
    void count(size_t bytes) noexcept;
    void place(const Read& read, uint16_t slot, size_t bytes) noexcept;
    bool place_held() noexcept;
    void give(const Group& group, size_t bytes) noexcept;
    bool has_frame(int32_t result, size_t room) const noexcept;
    bool is_frame(int32_t result, size_t room) noexcept; // Else says why not.
    void learn(const Brought& brought) noexcept;

    vhost::Virtqueue& queue_;
    HeldFrames& held_;
    DirectionCounters& counters_;
    const Format format_;
    RateLimit* const limit_;

    vhost::IovecList parts_;
    std::vector<vhost::Chain> chains_; // Looked at in this turn, from the ring's next on.
    size_t chains_done_ = 0;           // Of those: given back.
    bool blocked_ = false;             // The next chain is a bad one; its turn comes later.
    unsigned put_back_ = 0;            // Chains of this turn that can hold no frame.

    std::array<int32_t, reads_per_turn_max> results_{};
    uint16_t read_count_ = 0;
    std::array<Read, reads_per_turn_max> reads_{};

    unsigned reads_allowed_ = reads_per_turn_max; // By the limit.
    std::optional<RateLimit::Time> wait_;

    uint64_t frames_given_ = 0; // In this turn.
    uint64_t bytes_given_ = 0;
    bool tap_is_empty_ = false;
    uint16_t reads_wanted_ = 1;   // As many as recent turns filled.
    size_t expected_bytes_ = 0;   // As long as recent frames were.
    bool misplaced_ = false;      // A large frame of this turn had to be copied.
    uint16_t small_in_a_row_ = 0; // Turns that brought none, while frames are large.
    bool large_ = false;
};

} // namespace tapline
