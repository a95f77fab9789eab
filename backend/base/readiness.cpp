#include "backend/base/readiness.h"

#include "backend/base/error.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <string_view>

namespace tapline {
namespace {

constexpr std::string_view ready_text = "READY=1";

// An address that begins with @ is abstract: there its first byte is zero.
void tell(std::string_view text) noexcept {
    const char* variable = std::getenv(ready_socket_variable);
    const std::string_view name = variable != nullptr ? variable : "";
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    if (name.empty() || name.size() >= sizeof address.sun_path) {
        return;
    }
    std::ranges::copy(name, std::begin(address.sun_path));
    if (name.front() == '@') {
        address.sun_path[0] = '\0';
    }
    const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    (void)sendto(socket.get(), text.data(), text.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size()));
}

} // namespace

void tell_ready() noexcept {
    tell(ready_text);
}

void tell_alive() noexcept {
    tell("WATCHDOG=1");
}

// Without a name to bind to, the kernel makes up an abstract one.
ReadySocket ReadySocket::open() {
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    socklen_t length = sizeof address.sun_family;
    if (!fd || bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) < 0) {
        throw Error::from_errno("open a socket for a service to say that it is ready");
    }
    length = sizeof address;
    if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) < 0) {
        throw Error::from_errno("name a socket for a service to say that it is ready");
    }
    const size_t name_bytes = length - offsetof(sockaddr_un, sun_path);
    std::string text(std::begin(address.sun_path), name_bytes);
    text.front() = '@';
    return {std::move(fd), std::move(text)};
}

bool ReadySocket::take() {
    std::array<char, 256> message{};
    ssize_t bytes = 0;
    bool ready = false;
    while ((bytes = recv(fd_.get(), message.data(), message.size(), 0)) > 0) {
        ready |=
            std::string_view(message.data(), static_cast<size_t>(bytes)).starts_with(ready_text);
    }
    return ready;
}

} // namespace tapline
