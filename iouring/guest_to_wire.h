// Frames from the guest's transmit ring to the device, up to a turn's worth at a time.
#pragma once

#include "iouring/counters.h"
#include "iouring/express_lane.h"
#include "iouring/ring.h"
#include "iouring/send_gate.h"
#include "vhost/virtqueue.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

namespace tapline {

class GuestToWire {
public:
    enum class Fate : uint8_t { send, discard }; // discard: the ring is started but disabled.

    // Without a gate every frame may go; without an express lane all go to the tap queue.
    GuestToWire(vhost::Virtqueue& queue, size_t header_bytes, Fate fate,
                DirectionCounters& counters, std::unique_ptr<SendGate> gate = nullptr,
                ExpressLane* express = nullptr);

    // Takes what the guest has made available, up to so many chains, sends what goes by the express
    // lane and queues the writes of the rest. Returns the chains taken.
    unsigned collect(Ring& ring, unsigned most = frames_per_turn_max) noexcept;
    // The write of this frame failed with -errno.
    void refused(uint16_t slot, int32_t result) noexcept;
    // After submit: gives all of collect()'s chains back. True: the driver wants a call.
    bool publish() noexcept;

    // How long the next frame has to stay in the ring; nothing where none has to.
    std::optional<std::chrono::nanoseconds> wait() const noexcept {
        return gate_ ? gate_->wait() : std::nullopt;
    }

private:
    template <bool gated> void take(Ring& ring, unsigned most) noexcept;
    bool may_send(const vhost::Chain& chain) noexcept;
    void send_express(Ring& ring, unsigned end) noexcept;

    vhost::Virtqueue& queue_;
    DirectionCounters& counters_;
    const size_t header_bytes_;
    const Fate fate_;
    const std::unique_ptr<SendGate> gate_;
    ExpressLane* const express_;

    vhost::IovecList parts_;
    std::array<vhost::Chain, frames_per_turn_max> batch_{};
    std::array<std::span<const iovec>, frames_per_turn_max> express_frames_{}; // By slot.
    unsigned batch_size_ = 0;
    uint64_t frames_sent_ = 0; // Of this batch.
    uint64_t bytes_sent_ = 0;
};

} // namespace tapline
