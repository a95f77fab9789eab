// The wire behind a tap queue: a socket whose reads and writes are whole frames, as a tap's are.
#pragma once

#include "tests/fakes/front_end.h"
#include "tests/fakes/socket_pair.h"

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace tapline::fakes {

class Wire {
public:
    Wire();

    int tap_fd() const { return sockets_.ours.get(); }
    int far_fd() const { return sockets_.theirs.get(); }

    // Frames begin with their virtio header. Waits while the tap queue is full.
    void send(std::span<const std::byte> frame);
    // The next frame; nothing within the limit.
    std::optional<std::vector<std::byte>> receive(std::chrono::milliseconds limit = deadline);
    // From here on the tap refuses every frame that is written to it.
    void refuse_frames();

private:
    SocketPair sockets_{SOCK_SEQPACKET};
};

} // namespace tapline::fakes
