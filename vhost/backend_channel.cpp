#include "vhost/backend_channel.h"

#include "vhost/protocol_error.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace tapline::vhost {
namespace {

constexpr unsigned rounds_max = 60; // Between two times that the same is asked for.

} // namespace

void BackendChannel::connect(UniqueFd socket) {
    int kind = 0;
    socklen_t size = sizeof kind;
    if (getsockopt(socket.get(), SOL_SOCKET, SO_TYPE, &kind, &size) < 0 || kind != SOCK_STREAM) {
        throw ProtocolError(ProtocolFault::wrong_fd_type,
                            "requests of the back end need a stream socket");
    }
    socket_ = std::move(socket);
}

void BackendChannel::open() {
    if (!std::exchange(open_, true)) {
        forget_all();
    }
}

void BackendChannel::ask(const IotlbMiss& miss) {
    const auto is_same = [&](const Request& request) {
        return request.miss.page_address() == miss.page_address() &&
               request.miss.access == miss.access;
    };
    if (std::ranges::none_of(unanswered_, is_same) && unanswered_.size() < misses_max) {
        unanswered_.push_back({.miss = miss});
        send(miss);
    }
}

void BackendChannel::answered(const Iotlb& table) {
    std::erase_if(unanswered_, [&](const Request& request) {
        return table.find(request.miss.address, request.miss.access).size > 0;
    });
}

std::vector<IotlbMiss> BackendChannel::ask_again() {
    std::vector<IotlbMiss> late;
    for (Request& request : unanswered_) {
        if (++request.rounds == request.next_round) {
            request.next_round += std::min(request.rounds, rounds_max);
            send(request.miss);
        }
        if (request.rounds == rounds_until_late) {
            late.push_back(request.miss);
        }
    }
    return late;
}

void BackendChannel::send(const IotlbMiss& miss) {
    if (!socket_ || !open_) {
        return;
    }
    const Header header{.request = static_cast<uint32_t>(BackendRequest::iotlb_msg),
                        .flags = version,
                        .size = sizeof(IotlbMessage)};
    IotlbMessage message{};
    message.address = miss.page_address();
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
        closed_ = true;
    }
}

} // namespace tapline::vhost
