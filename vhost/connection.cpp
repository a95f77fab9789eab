#include "vhost/connection.h"

#include "backend/base/error.h"
#include "vhost/protocol_error.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

namespace tapline::vhost {
namespace {

// One more than any message may carry, so that one too many is seen and not just cut off.
constexpr size_t control_fds_max = fds_max + 1;

void take_fds(const msghdr& received, std::vector<UniqueFd>& fds) {
    for (cmsghdr* control = CMSG_FIRSTHDR(&received); control != nullptr;
         control = CMSG_NXTHDR(const_cast<msghdr*>(&received), control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof fd);
            fds.emplace_back(fd);
        }
    }
}

} // namespace

Connection::Connection(UniqueFd socket) : socket_(std::move(socket)) {
    const int flags = fcntl(fd(), F_GETFL);
    if (flags < 0 || fcntl(fd(), F_SETFL, flags | O_NONBLOCK) < 0) {
        throw Error::from_errno("make the front end's socket non-blocking");
    }
}

std::optional<Message> Connection::receive() {
    while (received_ < sizeof(Header) || received_ < sizeof(Header) + partial_.header.size) {
        if (!fill()) {
            return std::nullopt;
        }
        if (received_ == sizeof(Header)) {
            check_header();
        }
    }
    received_ = 0;
    return std::exchange(partial_, {});
}

// Reads what is missing of the header, then of the payload, never past the message: the next
// message's descriptors come with its own first byte.
bool Connection::fill() {
    const bool in_header = received_ < sizeof(Header);
    const size_t offset = in_header ? received_ : received_ - sizeof(Header);
    auto* target =
        in_header ? reinterpret_cast<std::byte*>(&partial_.header) : partial_.bytes.data();
    const size_t whole = in_header ? sizeof(Header) : partial_.header.size;

    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * control_fds_max)> control;
    iovec part{.iov_base = target + offset, .iov_len = whole - offset};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();

    const ssize_t count = recvmsg(fd(), &message, MSG_CMSG_CLOEXEC);
    if (count < 0) {
        if (errno == EAGAIN || errno == EINTR) {
            return false;
        }
        if (errno == ECONNRESET) { // The peer went without reading our last reply.
            closed_ = true;
            return false;
        }
        throw Error::from_errno("read from the front end");
    }
    take_fds(message, partial_.fds);
    if ((message.msg_flags & MSG_CTRUNC) != 0 || partial_.fds.size() > fds_max) {
        throw ProtocolError(ProtocolFault::too_many_fds,
                            fmt::format("a message carries {} descriptors at most", fds_max));
    }
    if (count == 0) {
        closed_ = true;
        if (received_ > 0) {
            throw ProtocolError(ProtocolFault::truncated_message,
                                fmt::format("closed after {} bytes of a message", received_));
        }
        return false;
    }
    received_ += static_cast<size_t>(count);
    return true;
}

void Connection::check_header() const {
    const Header& header = partial_.header;
    if ((header.flags & version_mask) != version) {
        throw ProtocolError(
            ProtocolFault::bad_version,
            fmt::format("request {} has version {}", header.request, header.flags & version_mask));
    }
    if (header.size > payload_bytes_max) {
        throw ProtocolError(ProtocolFault::oversized_payload,
                            fmt::format("request {} announces {} bytes, {} are the most",
                                        header.request, header.size, payload_bytes_max));
    }
}

void Connection::reply(Request request, const Answer& answer) {
    const std::span<const std::byte> payload = answer.payload;
    Header header{.request = static_cast<uint32_t>(request),
                  .flags = version | flag_reply,
                  .size = static_cast<uint32_t>(payload.size())};
    std::array<iovec, 2> parts{
        {{.iov_base = &header, .iov_len = sizeof header},
         {.iov_base = const_cast<std::byte*>(payload.data()), .iov_len = payload.size()}}};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
    if (answer.fd) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* rights = CMSG_FIRSTHDR(&message);
        *rights = {
            .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        const int fd = answer.fd.get();
        std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
    const ssize_t sent = sendmsg(fd(), &message, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) {
        return; // The next receive() sees the end.
    }
    if (sent != static_cast<ssize_t>(sizeof header + payload.size())) {
        throw ProtocolError(ProtocolFault::unread_reply,
                            fmt::format("request {} could not be answered", header.request));
    }
}

} // namespace tapline::vhost
