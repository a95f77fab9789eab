#include "vhost/backend_channel.h"

#include "vhost/protocol_error.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace tapline::vhost {

void BackendChannel::connect(UniqueFd socket) {
    int kind = 0;
    socklen_t size = sizeof kind;
    if (getsockopt(socket.get(), SOL_SOCKET, SO_TYPE, &kind, &size) < 0 || kind != SOCK_STREAM) {
        throw ProtocolError(ProtocolFault::wrong_fd_type,
                            "requests of the back end need a stream socket");
    }
    socket_ = std::move(socket);
}

void BackendChannel::ask(const IotlbMiss& miss) {
    if (std::ranges::find(unanswered_, miss, &Request::miss) == unanswered_.end() &&
        unanswered_.size() < misses_max) {
        unanswered_.push_back({.miss = miss, .is_old = false});
        send(miss);
    }
}

void BackendChannel::answered(const Iotlb& table) {
    std::erase_if(unanswered_, [&](const Request& request) {
        return table.find(request.miss.address, request.miss.access).size > 0;
    });
}

void BackendChannel::ask_again() {
    for (Request& request : unanswered_) {
        if (std::exchange(request.is_old, true)) {
            send(request.miss);
        }
    }
}

void BackendChannel::send(const IotlbMiss& miss) {
    if (!socket_) {
        return;
    }
    const Header header{.request = static_cast<uint32_t>(BackendRequest::iotlb_msg),
                        .flags = version,
                        .size = sizeof(IotlbMessage)};
    IotlbMessage message{};
    message.address = miss.address;
    message.access = miss.access;
    message.kind = IotlbKind::miss;
    std::array<std::byte, sizeof header + sizeof message> bytes{};
    std::memcpy(bytes.data(), &header, sizeof header);
    std::memcpy(bytes.data() + sizeof header, &message, sizeof message);
    const ssize_t sent =
        ::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    const bool full = sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM);
    if (!full && sent != static_cast<ssize_t>(bytes.size())) {
        socket_.reset(); // Closed, or cut off within a request: nobody could follow.
    }
}

} // namespace tapline::vhost
