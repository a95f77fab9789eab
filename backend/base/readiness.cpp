#include "backend/base/readiness.h"

#include "backend/base/error.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace tapline {
namespace {

constexpr std::string_view ready_text = "READY=1";

struct Address {
    sockaddr_un of;
    socklen_t length;

    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&of); }
};

// One that begins with @ is abstract: there its first byte is zero.
std::optional<Address> address_of(std::string_view name) noexcept {
    Address address{.of = {.sun_family = AF_UNIX, .sun_path = {}}, .length = 0};
    if (name.empty() || name.size() >= sizeof address.of.sun_path) {
        return std::nullopt;
    }
    std::ranges::copy(name, std::begin(address.of.sun_path));
    if (name.front() == '@') {
        address.of.sun_path[0] = '\0';
    }
    address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    return address;
}

void tell(std::string_view text) noexcept {
    const char* variable = std::getenv(ready_socket_variable);
    if (const auto address = address_of(variable != nullptr ? variable : "")) {
        const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        (void)sendto(socket.get(), text.data(), text.size(), MSG_NOSIGNAL, address->get(),
                     address->length);
    }
}

} // namespace

void tell_ready() noexcept {
    tell(ready_text);
}

void tell_alive() noexcept {
    tell("WATCHDOG=1");
}

ReadySocket ReadySocket::open(const std::string& path) {
    const auto address = address_of(path);
    if (!address) {
        throw Error({.operation = fmt::format("open the socket {}", path),
                     .cause = "no socket has so long a name"});
    }
    unlink(path.c_str()); // Of one that was killed.
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    // The file takes its mode from the socket: it is never open to others.
    if (!fd || fchmod(fd.get(), S_IRUSR | S_IWUSR) < 0 ||
        bind(fd.get(), address->get(), address->length) < 0) {
        throw Error::from_errno(fmt::format("open the socket {}", path));
    }
    return {std::move(fd), path};
}

ReadySocket::~ReadySocket() {
    if (fd_) {
        unlink(path_.c_str());
    }
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
