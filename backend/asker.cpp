#include "backend/asker.h"

#include "backend/base/error.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <array>
#include <cstring>

namespace tapline {
namespace {

constexpr int so_peerpidfd = 77; // asm-generic/socket.h, Linux 6.5

constexpr const char* next_step = "QEMU gives --fd itself, see -netdev tap,helper=";

void require_connected_unix_socket(int fd) {
    const std::string operation = fmt::format("use descriptor {} as the socket to answer on", fd);
    int domain = 0;
    socklen_t length = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0) {
        throw Error::from_errno(operation, next_step);
    }
    if (domain != AF_UNIX) {
        throw Error({.operation = operation,
                     .cause = "no Unix socket, and only one can carry a descriptor",
                     .next_step = next_step});
    }
    sockaddr_storage peer{};
    length = sizeof peer;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) < 0) {
        throw Error::from_errno(operation, next_step);
    }
}

// Since Linux 6.5 the socket itself tells; before, the number may be another process's by now.
UniqueFd process_behind(int socket, pid_t pid) {
    int process = -1;
    socklen_t length = sizeof process;
    if (getsockopt(socket, SOL_SOCKET, so_peerpidfd, &process, &length) < 0) {
        process = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    }
    return UniqueFd(process);
}

} // namespace

Asker Asker::behind(UniqueFd socket) {
    require_connected_unix_socket(socket.get());
    ucred peer{};
    socklen_t length = sizeof peer;
    if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) {
        throw Error::from_errno("ask who is at the other end of the socket");
    }
    UniqueFd process = process_behind(socket.get(), peer.pid);
    if (process && syscall(SYS_pidfd_send_signal, process.get(), 0, nullptr, 0) < 0 &&
        errno == ESRCH) {
        process.reset();
        errno = ESRCH;
    }
    if (!process) {
        throw Error::from_errno(fmt::format("watch process {}, which asks for a device", peer.pid),
                                peer.pid == 0 ? "it is in another PID namespace" : "");
    }
    return {std::move(socket), std::move(process)};
}

void Asker::give(int fd) const {
    char byte = 0;
    iovec data{.iov_base = &byte, .iov_len = sizeof byte};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof fd)> control{};
    msghdr message{.msg_iov = &data,
                   .msg_iovlen = 1,
                   .msg_control = control.data(),
                   .msg_controllen = control.size()};
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    // Room for one byte there is, unless somebody filled the socket to keep us waiting.
    if (sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof byte) {
        throw Error::from_errno("send the tap queue to the process that asked for it");
    }
}

} // namespace tapline
