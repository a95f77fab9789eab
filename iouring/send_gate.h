// What frames from the guest must pass where not every one may: port security and a rate limit.
//
// The guest can rewrite a frame between a look at it and the kernel's copy. So the headers are
// copied first, the copy is looked at, and the copy is sent, with the rest of the frame behind it.
#pragma once

#include "iouring/port_security.h"
#include "iouring/rate_limit.h"
#include "iouring/ring.h"
#include "vhost/iovec_list.h"

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>

namespace tapline {

class SendGate {
public:
    // Either may be missing; both outlive the gate.
    SendGate(const PortSecurity* security, RateLimit* limit, size_t header_bytes);

    void begin_turn() noexcept;

    struct Verdict {
        enum class Kind : uint8_t { send, drop, wait } kind;
        Drop why;                     // Where it is dropped.
        std::span<const iovec> parts; // What to send; valid until the next turn begins.
    };
    // The turn's next frame, with a virtio and an Ethernet header at least. A frame that waits
    // leaves no trace: it may come again.
    Verdict look_at(std::span<const iovec> frame, size_t bytes) noexcept;

    // How long the frame that had to wait in this turn still has to; nothing where none had.
    std::optional<RateLimit::Time> wait() const noexcept { return wait_; }

private:
    // Behind the virtio header: tags, IPv6 with its extensions and the beginning of what is within.
    static constexpr size_t head_bytes_max = 12 + 256;
    using Head = std::array<std::byte, head_bytes_max>;

    const PortSecurity* security_;
    RateLimit* limit_;
    const size_t header_bytes_;
    std::unique_ptr<std::array<Head, frames_per_turn_max>> heads_;
    vhost::IovecList parts_;
    unsigned frames_ = 0; // Looked at in this turn.
    RateLimit::Time now_{};
    std::optional<RateLimit::Time> wait_;
};

} // namespace tapline
