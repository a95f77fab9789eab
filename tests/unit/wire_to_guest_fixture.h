// Wire, ring and driver on one thread: a turn of the receive path is over when turn() returns.
#pragma once

#include "iouring/wire_to_guest.h"
#include "tests/fakes/wire.h"
#include "tests/unit/test_frame.h"
#include "tests/unit/virtqueue_fixture.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace tapline {

class WireToGuestFixture : public vhost::VirtqueueFixture {
protected:
    using Frame = std::vector<std::byte>;

    static constexpr uint32_t buffer_bytes = 1536;

    explicit WireToGuestFixture(const WireToGuest::Format& format, uint16_t ring_size = 256,
                                RateLimit* limit = nullptr)
        : vhost::VirtqueueFixture(
              {.size = ring_size, .features = bit(vhost::Feature::indirect_desc)}),
          path_(*queue_, format, held_, counters_, limit) {
        ring_->enable();
    }

    // Returns the reads it queued.
    unsigned turn() {
        const unsigned reads = path_.offer(*ring_);
        ring_->submit();
        ring_->for_each_completion(
            [&](Tag tag, int32_t result, bool) { path_.completed(tag.slot(), result); });
        path_.publish();
        return reads;
    }
    // Until the tap is empty, or nothing can be moved without more buffers.
    void run() {
        while (turn() > 0 && !path_.tap_is_empty()) {}
    }

    void offer(const std::vector<fakes::Buffer>& chain) { buffers_[add(chain)] = chain; }
    void offer_buffers(unsigned count, uint32_t bytes = buffer_bytes) {
        for (unsigned i = 0; i < count; ++i) {
            offer({writable(bytes)});
        }
    }

    // What the device wrote into the next chain it gave back.
    std::optional<Frame> next_chain() {
        const auto used = driver_.next_used();
        if (!used) {
            return std::nullopt;
        }
        Frame bytes;
        for (const fakes::Buffer& buffer : buffers_.at(used->id)) {
            const auto part = ram_.at(buffer.address, buffer.length);
            bytes.insert(bytes.end(), part.begin(), part.end());
        }
        EXPECT_LE(used->length, bytes.size());
        bytes.resize(used->length);
        seen_.push_back(buffers_.at(used->id));
        return bytes;
    }

    // Makes the buffers of the chains seen so far available once more.
    void offer_again() {
        for (const auto& chain : std::exchange(seen_, {})) {
            offer(chain);
        }
    }

    // The next frame, all its buffers together; sees to it that the guest has it whole.
    std::optional<Frame> next_frame() {
        auto frame = next_chain();
        if (!frame || frame->size() < header_bytes) {
            return frame;
        }
        uint16_t buffers = 0;
        std::memcpy(&buffers, frame->data() + num_buffers_offset, sizeof buffers);
        for (uint16_t i = 1; i < buffers; ++i) {
            const auto more = next_chain();
            if (!more) {
                ADD_FAILURE() << "num_buffers is " << buffers << ", " << i << " came";
                return frame;
            }
            frame->insert(frame->end(), more->begin(), more->end());
        }
        return frame;
    }

    void expect_frame(const Frame& sent, uint16_t buffers) {
        const auto frame = next_frame();
        ASSERT_TRUE(frame) << "no frame came";
        EXPECT_EQ(frame->size(), sent.size());
        EXPECT_TRUE(*frame == in_buffers(sent, buffers)) << "the frame came changed";
    }
    void expect_no_frame() { EXPECT_FALSE(driver_.next_used()); }

    uint64_t dropped(Drop why) const { return counters_.drops[static_cast<size_t>(why)].value(); }

    std::map<uint32_t, std::vector<fakes::Buffer>> buffers_; // By head.
    std::vector<std::vector<fakes::Buffer>> seen_;
    fakes::Wire wire_;
    HeldFrames held_;
    std::unique_ptr<Ring> ring_ = Ring::create(wire_.tap_fd(), &held_);
    DirectionCounters counters_;
    WireToGuest path_;
};

} // namespace tapline
