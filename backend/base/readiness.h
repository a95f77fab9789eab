// How a service tells who started it that it is ready, and goes on: systemd's protocol,
// sd_notify(3).
#pragma once

#include "backend/base/unique_fd.h"

#include <string>

namespace tapline {

constexpr auto ready_socket_variable = "NOTIFY_SOCKET";

// Both do nothing where nobody asked.
void tell_ready() noexcept;
void tell_alive() noexcept; // For WatchdogSec=.

// The end that is told.
class ReadySocket {
public:
    static ReadySocket open(); // Throws Error.

    // What the variable holds for the service.
    const std::string& address() const { return address_; }
    int fd() const { return fd_.get(); } // Readable when there is something to take.
    // Whether the service said that it is ready, of what has come by now.
    bool take();

private:
    ReadySocket(UniqueFd fd, std::string address)
        : fd_(std::move(fd)), address_(std::move(address)) {}

    UniqueFd fd_;
    std::string address_;
};

} // namespace tapline
