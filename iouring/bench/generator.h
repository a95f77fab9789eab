// The far side as a source of frames. A burst leaves as one large packet, which the kernel cuts
// into frames only in front of the tap queue: that is cheap enough to be ahead of any backend.
#pragma once

#include "backend/base/unique_fd.h"
#include "iouring/bench/frame.h"

#include <cstdint>
#include <vector>

namespace tapline::bench {

class Generator {
public:
    struct Plan {
        int interface; // Index.
        Mix mix;
        Path path;
        uint16_t flows;
        size_t burst; // Frames, at most.
        uint32_t first_number = 0;
    };

    explicit Generator(const Plan& plan); // Throws Error.

    // The next burst. Returns how many frames, 0 where the socket is full. Throws Error.
    unsigned send();

    uint64_t sent() const { return sent_; }
    uint64_t bytes_sent() const { return bytes_sent_; }
    uint32_t next_number() const { return first_number_ + static_cast<uint32_t>(sent_); }

private:
    UniqueFd socket_;
    std::vector<Burst> bursts_; // Sent in turn.
    std::vector<size_t> frame_bytes_;
    size_t next_ = 0;
    uint32_t first_number_;
    uint64_t sent_ = 0;
    uint64_t bytes_sent_ = 0;
};

} // namespace tapline::bench
