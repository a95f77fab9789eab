#include "backend/tap_node.h"

#include "backend/base/error.h"
#include "backend/base/number.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fstream>
#include <string>

namespace tapline {
namespace {

std::string node_path(const MacvtapDevice& device) {
    return fmt::format("/dev/tap{}", device.index);
}

// /sys/class/net/NAME/macvtap/tapN/dev holds "MAJOR:MINOR\n".
dev_t device_number(const MacvtapDevice& device) {
    const std::string path =
        fmt::format("/sys/class/net/{}/macvtap/tap{}/dev", device.name, device.index);
    std::ifstream file(path);
    std::string text;
    if (!std::getline(file, text)) {
        throw Error({.operation = fmt::format("read {}", path),
                     .cause = "sysfs does not show the device",
                     .next_step = "enter its network namespace with `ip netns exec`, which "
                                  "mounts the right /sys"});
    }
    const auto colon = text.find(':');
    if (colon == std::string::npos) {
        throw Error({.operation = fmt::format("read {}", path),
                     .cause = fmt::format("'{}' is not MAJOR:MINOR", text)});
    }
    constexpr uint32_t major_max = 0xfff;
    constexpr uint32_t minor_max = 0xfffff;
    const std::string_view view = text;
    return makedev(parse_number<uint32_t>("major number", view.substr(0, colon), 0, major_max),
                   parse_number<uint32_t>("minor number", view.substr(colon + 1), 0, minor_max));
}

bool is_node_of(int fd, dev_t number) {
    struct stat facts {};
    return fstat(fd, &facts) == 0 && S_ISCHR(facts.st_mode) && facts.st_rdev == number;
}

// O_PATH: looking at a node that may be another device's must not open that device's queue.
bool is_node_of(const std::string& path, dev_t number) {
    const UniqueFd looked_at(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    return looked_at && is_node_of(looked_at.get(), number);
}

// In /dev, because /run and /tmp are often mounted nodev.
UniqueFd open_private_node(const MacvtapDevice& device, dev_t number) {
    const std::string path = fmt::format("/dev/.tapline-{}-{}", getpid(), device.index);
    const std::string operation = fmt::format("open a queue of '{}'", device.name);
    if (mknod(path.c_str(), S_IFCHR | S_IRUSR | S_IWUSR, number) < 0) {
        throw Error::from_errno(fmt::format("{}: make node {}", operation, path),
                                fmt::format("{} is not this device's node, so one must be made, "
                                            "which needs CAP_MKNOD",
                                            node_path(device)));
    }
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    const int code = errno;
    unlink(path.c_str());
    if (!fd) {
        throw Error::from_errno(operation, {}, code);
    }
    return fd;
}

} // namespace

UniqueFd open_tap_node(const MacvtapDevice& device) {
    const dev_t number = device_number(device);
    const std::string path = node_path(device);
    if (!is_node_of(path, number)) {
        return open_private_node(device, number);
    }
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd) {
        throw Error::from_errno(fmt::format("open {}", path),
                                errno == EACCES ? "run as root, or set its owner with --owner"
                                                : "");
    }
    if (!is_node_of(fd.get(), number)) {
        throw Error({.operation = fmt::format("open {}", path),
                     .cause = "the node was exchanged while it was opened"});
    }
    return fd;
}

void set_tap_node_owner(const MacvtapDevice& device, const Owner& owner) {
    const std::string path = node_path(device);
    const UniqueFd node(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!node || !is_node_of(node.get(), device_number(device))) {
        throw Error({.operation = fmt::format("set the owner of {}", path),
                     .cause = fmt::format("it is not the node of '{}'", device.name),
                     .next_step = "udev or another network namespace has the name"});
    }
    if (fchownat(node.get(), "", owner.user, owner.group, AT_EMPTY_PATH) < 0) {
        throw Error::from_errno(fmt::format("set the owner of {}", path));
    }
}

} // namespace tapline
