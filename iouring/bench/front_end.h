// The front end's side of a vhost-user connection, in the order in which QEMU says things.
#pragma once

#include "backend/base/unique_fd.h"
#include "iouring/bench/backend.h"
#include "vhost/protocol.h"

#include <chrono>
#include <string>
#include <vector>

namespace tapline::bench {

class FrontEnd {
public:
    // Waits for the backend to listen there, as long as its process, a pidfd or -1, lives.
    // Throws Error, as all of these do.
    static FrontEnd connect(const std::string& path, int process);

    uint64_t offered_features();
    void start(uint64_t features, const GuestRam& ram, std::span<const SharedRing> rings);

private:
    explicit FrontEnd(UniqueFd socket) : socket_(std::move(socket)) {}

    void send(vhost::Request request, std::span<const std::byte> payload,
              std::span<const int> fds = {});
    template <typename T> void send(vhost::Request request, const T& payload) {
        send(request, std::as_bytes(std::span(&payload, 1)));
    }
    uint64_t ask(vhost::Request request);
    void start_ring(uint32_t index, const SharedRing& shared);

    UniqueFd socket_;
};

} // namespace tapline::bench
