// Frames from the tap queue to the guest's receive ring.
//
// A read takes one frame and cuts it off silently where its buffers end, and nobody can ask for
// the length beforehand. So each read is offered room for the largest frame there is:
//   small frames   many reads a turn, each into registered memory of ours, copied from there:
//                  a copy of a few cache lines costs less than a read into scattered parts;
//   large frames   one read a turn, straight into as many chains as the largest frame needs.
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
    void completed(uint16_t slot, int32_t result) noexcept;
    // After submit: gives the guest what the reads brought. True: the driver wants a call.
    bool publish() noexcept;

    // The last turn gave the guest one frame at least.
    bool gave_frames() const { return gave_frames_; }
    // A read of the last turn found no frame: the tap queue is empty.
    bool tap_is_empty() const { return tap_is_empty_; }
    // A frame waits for the guest to make more chains available.
    bool holds_frame() const { return !held_.empty(); }
    // How long frames have to stay in the tap queue; nothing where they may come.
    std::optional<RateLimit::Time> wait() const { return wait_; }
    // The guest had its time: the frame is dropped, those behind it may fit.
    void give_up_held() noexcept;

private:
    void begin_turn() noexcept;
    bool limit_reads() noexcept;
    void charge_reads() noexcept;
    bool look_at_next_chain() noexcept;
    bool find_room(size_t bytes) noexcept;
    std::span<const iovec> parts_found() const noexcept;
    void offer_many_chains(Ring& ring) noexcept;
    void hold_all() noexcept;
    void place_direct() noexcept;
    bool place_held() noexcept;
    void complete(size_t bytes) noexcept;
    bool is_frame(int32_t result, size_t room) noexcept;
    void learn() noexcept;

    vhost::Virtqueue& queue_;
    HeldFrames& held_;
    DirectionCounters& counters_;
    const Format format_;
    RateLimit* const limit_;

    vhost::IovecList parts_;
    std::vector<vhost::Chain> chains_; // Looked at in this turn, from the ring's next on.
    size_t chains_done_ = 0;           // Of those: given back.
    size_t found_ = 0;                 // Chains that find_room() counted together,
    size_t room_ = 0;                  // and their bytes.
    bool blocked_ = false;             // The next chain is a bad one; its turn comes later.
    unsigned put_back_ = 0;            // Chains of this turn that can hold no frame.

    std::array<int32_t, reads_per_turn_max> results_{};
    uint16_t read_count_ = 0;
    bool direct_ = false; // The turn's one read goes straight to chains_.

    unsigned reads_allowed_ = reads_per_turn_max; // By the limit.
    std::optional<RateLimit::Time> wait_;

    bool gave_frames_ = false;
    bool tap_is_empty_ = false;
    uint16_t reads_wanted_ = 1;   // As many as recent turns filled.
    uint16_t small_in_a_row_ = 0; // Frames that were, while frames are large.
    bool large_ = false;
};

} // namespace tapline
