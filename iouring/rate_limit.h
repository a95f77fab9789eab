// How much of one direction of a NIC may pass in a time: bytes, frames or both, over all of its
// queue pairs together.
#pragma once

#include "iouring/token_bucket.h"
#include "iouring/virtio_net_header.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tapline {

class RateLimit {
public:
    using Time = TokenBucket::Time;

    struct Rates {
        std::optional<Rate> bytes; // Of Ethernet, as the counters count them.
        std::optional<Rate> frames;

        // 100mbit, 10kfps or 1gbit,200kfps, and bursts: burst=64kb for bytes, burst=128f for
        // frames. Throws Error for anything else.
        static Rates parse(std::string_view text);
        bool operator==(const Rates&) const = default;
    };

    // What one frame takes. One that is still to be segmented counts, roughly, as its segments.
    struct Load {
        uint64_t bytes;
        uint64_t frames;
        static Load of(const VirtioNetHeader& header, size_t frame_bytes) noexcept;
    };

    RateLimit(const Rates& rates, Time now);

    static Time now() noexcept { return std::chrono::steady_clock::now().time_since_epoch(); }

    bool take(const Load& load, Time now) noexcept;
    // How long until take() may succeed; zero: at once.
    Time wait(const Load& load, Time now) const noexcept;

    // Where frames are read before their size is known: how many to read now, and what they were.
    unsigned frames_to_read(unsigned most, Time now) const noexcept;
    void charge(const Load& load, Time now) noexcept;

private:
    std::optional<TokenBucket> bytes_;
    std::optional<TokenBucket> frames_;
};

} // namespace tapline
