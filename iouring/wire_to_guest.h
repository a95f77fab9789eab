// Frames from the tap queue to the guest's receive ring.
//
// A read takes one frame and cuts it off silently where its buffers end, and nobody can ask for
// the length beforehand. So each read is offered room for the largest frame there is:
//   small frames   many reads a turn, each into one chain, with a held frame's room behind it;
//   large frames   one read a turn, into as many mergeable chains as the largest frame needs.
// Chains are used strictly in the ring's order. A read that came out longer than its chain, or
// behind one that found no frame, is copied out and placed again in order.
#pragma once

#include "iouring/counters.h"
#include "iouring/held_frames.h"
#include "iouring/ring.h"
#include "vhost/virtqueue.h"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace tapline {

class WireToGuest {
public:
    struct Format {
        size_t header_bytes; // 10 or 12; only the latter has num_buffers.
        bool mergeable;
    };

    WireToGuest(vhost::Virtqueue& queue, const Format& format, HeldFrames& held,
                DirectionCounters& counters);

    // Queues reads into the guest's next chains. Returns the chains dealt with: read to, or given
    // back because they can hold no frame.
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
    // The guest had its time: the frame is dropped, those behind it may fit.
    void give_up_held() noexcept;

private:
    struct Read {
        uint16_t first_chain; // In chains_, which begin at the ring's next chain.
        uint16_t chain_count;
        std::span<const iovec> parts; // Of its chains.
        size_t room;                  // Bytes of its chains.
        int32_t result;
    };

    bool look_at_next_chain() noexcept;
    void offer_one_chain_each(Ring& ring) noexcept;
    void offer_many_chains(Ring& ring) noexcept;
    void queue_read(Ring& ring, uint16_t first_chain) noexcept;
    void place(const Read& read, uint16_t slot) noexcept;
    void complete(std::span<const vhost::Chain> chains, size_t bytes) noexcept;
    bool place_held() noexcept;
    void learn() noexcept;

    vhost::Virtqueue& queue_;
    HeldFrames& held_;
    DirectionCounters& counters_;
    const Format format_;

    vhost::IovecList parts_;
    std::vector<vhost::Chain> chains_; // Looked at, still in the ring.
    std::array<Read, frames_per_turn_max> reads_{};
    uint16_t read_count_ = 0;
    unsigned put_back_ = 0;    // Chains of this turn that can hold no frame.
    uint16_t chains_done_ = 0; // Of chains_, in this turn.

    bool gave_frames_ = false;
    bool tap_is_empty_ = false;
    uint16_t reads_wanted_ = 1;   // As many as recent turns filled.
    uint16_t small_in_a_row_ = 0; // Frames that one chain held, while frames are large.
    bool large_ = false;
};

} // namespace tapline
