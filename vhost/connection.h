// One front end's socket: whole messages with their descriptors in, replies out. Knows no request.
#pragma once

#include "backend/base/unique_fd.h"
#include "vhost/message.h"

#include <cstddef>
#include <optional>

namespace tapline::vhost {

class Connection {
public:
    // socket: a connected stream socket; it is made non-blocking.
    explicit Connection(UniqueFd socket);

    int fd() const { return socket_.get(); }

    // The next message once it is whole, else nothing: the rest is still to come, or the peer has
    // closed. Throws ProtocolError when the stream makes no sense, Error when the socket fails.
    std::optional<Message> receive();
    bool closed() const { return closed_; }

    // A reply is small and the peer waits for it: one that does not fit is the peer's fault.
    void reply(Request request, const Answer& answer);

private:
    bool fill();
    void check_header() const;

    UniqueFd socket_;
    Message partial_;
    size_t received_ = 0; // Bytes of partial_, header included.
    bool closed_ = false;
};

} // namespace tapline::vhost
