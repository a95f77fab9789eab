// Tells that something happened to a link of this network namespace. A tap queue itself is silent
// when its device goes: reads find nothing, writes succeed, nothing hangs up.
#pragma once

#include <netlink/netlink.h>

#include <memory>

namespace tapline {

class LinkWatch {
public:
    static LinkWatch open();

    int fd() const { return nl_socket_get_fd(socket_.get()); } // Readable: drain(), then look.
    void drain();

private:
    using Socket = std::unique_ptr<nl_sock, decltype(&nl_socket_free)>;
    explicit LinkWatch(Socket socket) : socket_(std::move(socket)) {}

    Socket socket_;
};

} // namespace tapline
