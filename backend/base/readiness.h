// How a service tells who started it that it is ready, and goes on: systemd's protocol,
// sd_notify(3).
#pragma once

#include "backend/base/unique_fd.h"

#include <string>
#include <utility>

namespace tapline {

constexpr auto ready_socket_variable = "NOTIFY_SOCKET";

// Both do nothing where nobody asked.
void tell_ready() noexcept;
void tell_alive() noexcept; // For WatchdogSec=.

// The end that is told: by this user's processes, and root's.
class ReadySocket {
public:
    // At a path of its own, until it is destroyed. Throws Error.
    static ReadySocket open(const std::string& path);
    ReadySocket(ReadySocket&& other) noexcept = default;
    ReadySocket& operator=(ReadySocket&& other) = delete;
    ~ReadySocket();

    // What the variable holds for the service.
    const std::string& address() const { return path_; }
    int fd() const { return fd_.get(); } // Readable when there is something to take.
    // Whether the service said that it is ready, of what has come by now.
    bool take();

private:
    ReadySocket(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

    UniqueFd fd_;
    std::string path_;
};

} // namespace tapline
