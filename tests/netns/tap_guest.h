// A guest that is no more than one queue of its macvtap: it sends and receives whole frames.
#pragma once

#include "backend/tap_queue.h"
#include "tests/fakes/front_end.h"
#include "tests/netns/frames.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>

namespace tapline::netns {

class TapGuest {
public:
    explicit TapGuest(const std::string& device); // One that there is.

    const Mac& mac() const { return mac_; }
    void send(const Bytes& frame); // Throws where the kernel does not take it.
    std::optional<Bytes> receive(std::chrono::milliseconds limit = fakes::deadline);

private:
    explicit TapGuest(const MacvtapDevice& device);

    Mac mac_;
    TapQueue queue_;
};

// The next frame that holds these bytes; others pass. Of a guest or a station.
template <typename Receiver>
std::optional<Bytes> receive_with(Receiver& receiver, const Bytes& part,
                                  std::chrono::milliseconds limit = fakes::deadline) {
    auto frame = receiver.receive(limit);
    while (frame && std::ranges::search(*frame, part).empty()) {
        frame = receiver.receive(limit);
    }
    return frame;
}

} // namespace tapline::netns
