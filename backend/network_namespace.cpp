#include "backend/network_namespace.h"

#include "backend/base/error.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

namespace tapline {
namespace {

namespace fs = std::filesystem;

constexpr auto own_namespace = "/proc/thread-self/ns/net";
constexpr auto named_folder = "/run/netns";

std::string path_of(const std::string& text) {
    if (text.find('/') != std::string::npos) {
        return text;
    }
    const bool number = !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
        return std::isdigit(c) != 0;
    });
    return number ? fmt::format("/proc/{}/ns/net", text) : fmt::format("{}/{}", named_folder, text);
}

bool is_network_namespace(int fd) {
    struct statfs facts {};
    return fstatfs(fd, &facts) == 0 && facts.f_type == NSFS_MAGIC &&
           ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
}

ino_t inode_of(const fs::path& path) {
    struct stat facts {};
    return stat(path.c_str(), &facts) == 0 ? facts.st_ino : 0;
}

ino_t number_of_own(const char* path) {
    const ino_t number = inode_of(path);
    if (number == 0) {
        throw Error::from_errno(fmt::format("look at {}", path), "mount /proc");
    }
    return number;
}

// Opened and looked at again: a process and its namespace may go meanwhile.
UniqueFd open_if_it_is(const fs::path& path, ino_t number) {
    if (inode_of(path) != number) {
        return UniqueFd();
    }
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat facts {};
    const bool same = fd && fstat(fd.get(), &facts) == 0 && facts.st_ino == number;
    return same && is_network_namespace(fd.get()) ? std::move(fd) : UniqueFd();
}

} // namespace

UniqueFd open_network_namespace(const std::string& text) {
    const std::string path = path_of(text);
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) {
        throw Error::from_errno(fmt::format("open network namespace '{}' ({})", text, path),
                                "see `ip netns`; a path or a process number will do as well");
    }
    if (!is_network_namespace(fd.get())) {
        throw Error({.operation = fmt::format("open network namespace '{}' ({})", text, path),
                     .cause = "the file is no network namespace"});
    }
    return fd;
}

UniqueFd find_network_namespace(ino_t number) {
    std::error_code unreadable;
    for (const auto& entry : fs::directory_iterator(named_folder, unreadable)) {
        if (UniqueFd fd = open_if_it_is(entry.path(), number)) {
            return fd;
        }
    }
    for (const auto& entry : fs::directory_iterator("/proc", unreadable)) {
        if (UniqueFd fd = open_if_it_is(entry.path() / "ns/net", number)) {
            return fd;
        }
    }
    return UniqueFd();
}

UniqueFd open_own_network_namespace() {
    UniqueFd fd(::open(own_namespace, O_RDONLY | O_CLOEXEC));
    if (!fd) {
        throw Error::from_errno(fmt::format("open {}", own_namespace), "mount /proc");
    }
    return fd;
}

ino_t current_network_namespace() {
    return number_of_own(own_namespace);
}

ino_t current_pid_namespace() {
    return number_of_own("/proc/thread-self/ns/pid");
}

uint64_t current_network_namespace_cookie() {
    const UniqueFd any(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    if (getsockopt(any.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0) {
        throw Error::from_errno("identify the network namespace", "needs Linux 5.14 or newer");
    }
    return cookie;
}

void enter_network_namespace(const UniqueFd& fd) {
    if (setns(fd.get(), CLONE_NEWNET) < 0) {
        throw Error::from_errno("enter the network namespace",
                                errno == EPERM ? "needs CAP_SYS_ADMIN: run as root" : "");
    }
}

NetworkNamespaceVisit::NetworkNamespaceVisit(const UniqueFd& fd)
    : home_(open_own_network_namespace()) {
    enter_network_namespace(fd);
}

NetworkNamespaceVisit::~NetworkNamespaceVisit() {
    (void)setns(home_.get(), CLONE_NEWNET); // Allowed before, and again.
}

} // namespace tapline
