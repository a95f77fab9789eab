#include "tests/fakes/wire.h"

#include <stdexcept>

namespace tapline::fakes {
namespace {

constexpr size_t frame_bytes_max = 128 << 10; // More than any tap gives.
constexpr int queue_bytes = 16 << 20;

void set(int socket, int option, const void* value, socklen_t size) {
    if (setsockopt(socket, SOL_SOCKET, option, value, size) < 0) {
        throw std::runtime_error("cannot set up the wire");
    }
}

} // namespace

Wire::Wire() {
    const timeval limit{.tv_sec = deadline.count(), .tv_usec = 0};
    for (const int socket : {sockets_.ours.get(), sockets_.theirs.get()}) {
        set(socket, SO_SNDBUF, &queue_bytes, sizeof queue_bytes);
    }
    set(sockets_.theirs.get(), SO_SNDTIMEO, &limit, sizeof limit);
}

void Wire::send(std::span<const std::byte> frame) {
    if (::send(sockets_.theirs.get(), frame.data(), frame.size(), MSG_NOSIGNAL) < 0) {
        throw std::runtime_error("nobody reads from the wire");
    }
}

std::optional<std::vector<std::byte>> Wire::receive(std::chrono::milliseconds limit) {
    if (!wait_readable(sockets_.theirs.get(), limit)) {
        return std::nullopt;
    }
    std::vector<std::byte> frame(frame_bytes_max);
    const ssize_t count = recv(sockets_.theirs.get(), frame.data(), frame.size(), 0);
    frame.resize(count < 0 ? 0 : static_cast<size_t>(count));
    return frame;
}

void Wire::refuse_frames() {
    shutdown(sockets_.theirs.get(), SHUT_RD);
}

} // namespace tapline::fakes
