#include "vhost/socket.h"

#include "backend/base/error.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace tapline::vhost {
namespace {

constexpr int backlog = 1; // One front end is served, one may wait.

sockaddr_un address_of(const std::string& path, const std::string& operation) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        throw Error({.operation = operation,
                     .cause = fmt::format("a socket's path has 1 to {} bytes",
                                          sizeof address.sun_path - 1)});
    }
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

ino_t inode_of(const std::string& path) {
    struct stat facts {};
    return lstat(path.c_str(), &facts) == 0 ? facts.st_ino : 0;
}

UniqueFd make_socket(const std::string& operation) {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        throw Error::from_errno(operation);
    }
    return fd;
}

// A socket left behind by a process that is gone refuses connections.
void remove_stale(const std::string& path, const sockaddr_un& address) {
    const std::string operation = fmt::format("listen on '{}'", path);
    struct stat facts {};
    if (lstat(path.c_str(), &facts) < 0) {
        return; // bind() tells what is wrong, if anything is.
    }
    if (!S_ISSOCK(facts.st_mode)) {
        throw Error({.operation = operation,
                     .cause = "something that is no socket has this name",
                     .next_step = "choose another path"});
    }
    const UniqueFd probe = make_socket(operation);
    if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
        errno != ECONNREFUSED) {
        throw Error({.operation = operation,
                     .cause = "another process listens there",
                     .next_step = "end it or choose another path"});
    }
    unlink(path.c_str());
}

} // namespace

ListeningSocket ListeningSocket::bind(const std::string& path) {
    const std::string operation = fmt::format("listen on '{}'", path);
    const sockaddr_un address = address_of(path, operation);
    remove_stale(path, address);
    ListeningSocket listener(make_socket(operation));
    if (::bind(listener.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
        throw Error::from_errno(operation, errno == ENOENT ? "its folder does not exist" : "");
    }
    listener.path_ = path;
    listener.inode_ = inode_of(path);
    if (listen(listener.fd(), backlog) < 0) {
        throw Error::from_errno(operation);
    }
    return listener;
}

ListeningSocket::~ListeningSocket() {
    if (fd_ && !path_.empty() && inode_of(path_) == inode_) { // Else another has its place.
        unlink(path_.c_str());
    }
}

UniqueFd ListeningSocket::accept() {
    UniqueFd connected(accept4(fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!connected && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        throw Error::from_errno("accept a front end");
    }
    return connected;
}

void check_socket_path(const std::string& path) {
    (void)address_of(path, fmt::format("use the socket '{}'", path));
}

UniqueFd connect_to(const std::string& path) {
    const std::string operation = fmt::format("connect to the front end at '{}'", path);
    const sockaddr_un address = address_of(path, operation);
    UniqueFd connected = make_socket(operation);
    if (connect(connected.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
        const int code = errno;
        throw Error::from_errno(operation,
                                code == ENOENT || code == ECONNREFUSED
                                    ? "start the front end first, or let --reconnect wait for it"
                                : code == EAGAIN ? "it has not accepted an earlier connection yet"
                                                 : "",
                                code);
    }
    return connected;
}

SocketKind kind_of_socket(int fd) {
    int type = 0;
    int listens = 0;
    socklen_t size = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0) {
        throw Error::from_errno(fmt::format("use descriptor {} as a vhost-user socket", fd));
    }
    int domain = 0;
    size = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_UNIX ||
        type != SOCK_STREAM) {
        throw Error({.operation = fmt::format("use descriptor {} as a vhost-user socket", fd),
                     .cause = "it is no Unix stream socket"});
    }
    size = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0) {
        throw Error::from_errno(fmt::format("use descriptor {} as a vhost-user socket", fd));
    }
    sockaddr_un peer{};
    size = sizeof peer;
    if (listens == 0 && getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) < 0) {
        throw Error({.operation = fmt::format("use descriptor {} as a vhost-user socket", fd),
                     .cause = "it neither listens nor is connected"});
    }
    return listens != 0 ? SocketKind::listening : SocketKind::connected;
}

} // namespace tapline::vhost
