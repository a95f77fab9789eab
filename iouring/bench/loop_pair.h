// One queue pair of the baseline `loop`: its tap queue and its two virtqueues.
#pragma once

#include "vhost/session.h"
#include "vhost/virtqueue.h"

#include <poll.h>

#include <memory>
#include <span>
#include <vector>

namespace tapline::bench {

class LoopPair {
public:
    // The session outlives it. Throws ProtocolError.
    LoopPair(int tap_fd, const vhost::Session& session, uint16_t number);

    // Moves what there is, a burst each way at most. False: it was nothing.
    bool turn();
    // Asks for kicks and adds what poll() shall watch. True: something came meanwhile.
    bool prepare_to_sleep(std::vector<pollfd>& polled);
    size_t woken(std::span<const pollfd> polled); // Returns how many of them were its own.

private:
    unsigned send();
    unsigned receive();
    bool receive_one();
    bool take_chain(size_t& room);
    void place(size_t bytes, size_t room);

    int tap_fd_;
    const vhost::Vring* in_;
    const vhost::Vring* out_;
    std::unique_ptr<vhost::Virtqueue> receive_queue_;
    std::unique_ptr<vhost::Virtqueue> transmit_queue_;
    vhost::IovecList parts_;
    std::vector<vhost::Chain> chains_; // Of the frame that came.
    std::vector<std::byte> spill_;
    size_t largest_frame_ = 0; // With its header.
    bool tap_readable_ = true;
    bool needs_chains_ = false;
};

} // namespace tapline::bench
