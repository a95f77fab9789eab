#include "backend/tap_node.h"

#include "backend/base/error.h"
#include "backend/base/number.h"
#include "backend/detached_mount.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <string_view>

namespace tapline {
namespace {

constexpr mode_t private_node = S_IFCHR | S_IRUSR | S_IWUSR;
constexpr std::string_view left_node_prefix = ".tapline-";

// The instance mounted at /sys may show another network namespace, which can have a device of the
// same name and index; a fresh one shows ours.
UniqueFd open_sysfs() {
    UniqueFd fresh = mount_detached("sysfs");
    return fresh ? std::move(fresh) : UniqueFd(::open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

dev_t read_device_number(const MacvtapDevice& device) {
    const std::string path =
        fmt::format("class/net/{}/{}/tap{}/dev", device.name, to_text(device.kind), device.index);
    const UniqueFd sysfs = open_sysfs();
    const UniqueFd file(openat(sysfs.get(), path.c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 32> text;
    const ssize_t length = file ? read(file.get(), text.data(), text.size()) : -1;
    if (length < 0) {
        throw Error({.operation = fmt::format("read /sys/{}", path),
                     .cause = "sysfs does not show the device",
                     .next_step = "enter its network namespace with --netns or `ip netns exec`"});
    }
    return parse_device_number("/sys/" + path, {text.data(), static_cast<size_t>(length)});
}

bool is_node_of(int fd, dev_t number) {
    struct stat facts {};
    return fstat(fd, &facts) == 0 && S_ISCHR(facts.st_mode) && facts.st_rdev == number;
}

// O_PATH: looking at a node that may be another device's must not open that device's queue.
UniqueFd look_at(const std::string& path) {
    return UniqueFd(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

} // namespace

dev_t parse_device_number(const std::string& path, std::string_view text) {
    while (text.ends_with('\n')) {
        text.remove_suffix(1);
    }
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) {
        throw Error({.operation = fmt::format("read {}", path),
                     .cause = fmt::format("'{}' is not MAJOR:MINOR", text)});
    }
    constexpr uint32_t major_max = 0xfff;
    constexpr uint32_t minor_max = 0xfffff;
    return makedev(parse_number<uint32_t>("major number", text.substr(0, colon), 0, major_max),
                   parse_number<uint32_t>("minor number", text.substr(colon + 1), 0, minor_max));
}

TapNode::TapNode(const MacvtapDevice& device, dev_t number)
    : device_name_(device.name), path_(fmt::format("/dev/tap{}", device.index)), number_(number) {}

TapNode TapNode::of(const MacvtapDevice& device) {
    return {device, read_device_number(device)};
}

UniqueFd TapNode::open() const {
    const UniqueFd seen = look_at(path_);
    if (!seen || !is_node_of(seen.get(), number_)) {
        return open_private();
    }
    // What was looked at, and not what may have its name by now.
    UniqueFd fd(::open(fmt::format("/proc/self/fd/{}", seen.get()).c_str(), O_RDWR | O_CLOEXEC));
    if (!fd) {
        throw Error::from_errno(fmt::format("open {}", path_),
                                errno == EACCES   ? "run as root, or set its owner with --owner"
                                : errno == ENOENT ? "mount /proc"
                                                  : "");
    }
    return fd;
}

// Where nobody else can look, if possible: then nothing is left even by SIGKILL. Else in /dev,
// because /run and /tmp are often mounted nodev.
UniqueFd TapNode::open_private() const {
    const UniqueFd hidden = mount_detached("tmpfs");
    const UniqueFd folder = hidden ? UniqueFd() : UniqueFd(::open("/dev", O_PATH | O_CLOEXEC));
    const int place = hidden ? hidden.get() : folder.get();
    const std::string name = fmt::format("{}{}-{}", left_node_prefix, getpid(), minor(number_));
    if (mknodat(place, name.c_str(), private_node, number_) < 0) {
        throw Error::from_errno(
            fmt::format("open a queue of '{}': make node /dev/{}", device_name_, name),
            fmt::format("{} is not this device's node, so one must be made, which needs CAP_MKNOD",
                        path_));
    }
    UniqueFd fd(openat(place, name.c_str(), O_RDWR | O_CLOEXEC));
    const int code = errno;
    unlinkat(place, name.c_str(), 0);
    if (!fd) {
        throw Error::from_errno(fmt::format("open a queue of '{}'", device_name_),
                                code == EPERM ? "the container's device rules forbid it" : "",
                                code);
    }
    return fd;
}

// It appears whole, in place of another one if need be.
void TapNode::publish() const {
    const UniqueFd seen = look_at(path_);
    if (seen && is_node_of(seen.get(), number_)) {
        return;
    }
    const std::string made =
        fmt::format("/dev/{}{}-{}", left_node_prefix, getpid(), minor(number_));
    if (mknod(made.c_str(), private_node, number_) < 0) {
        throw Error::from_errno(fmt::format("make {} for '{}'", path_, device_name_),
                                errno == EPERM ? "the container's device rules forbid it" : "");
    }
    if (rename(made.c_str(), path_.c_str()) < 0) {
        const int code = errno;
        unlink(made.c_str());
        throw Error::from_errno(fmt::format("make {} for '{}'", path_, device_name_), {}, code);
    }
}

void TapNode::withdraw() const noexcept {
    const UniqueFd seen = look_at(path_);
    if (seen && is_node_of(seen.get(), number_)) {
        unlink(path_.c_str());
    }
}

UniqueFd TapNode::look_at_path(const std::string& operation) const {
    UniqueFd node = look_at(path_);
    if (!node || !is_node_of(node.get(), number_)) {
        throw Error({.operation = operation,
                     .cause = fmt::format("it is not the node of '{}'", device_name_),
                     .next_step = "udev or another network namespace has the name"});
    }
    return node;
}

void TapNode::set_owner(const Owner& owner) const {
    const std::string operation = fmt::format("set the owner of {}", path_);
    const UniqueFd node = look_at_path(operation);
    if (fchownat(node.get(), "", owner.user, owner.group, AT_EMPTY_PATH) < 0) {
        throw Error::from_errno(operation);
    }
}

void TapNode::set_mode(mode_t mode) const {
    const std::string operation = fmt::format("set the permissions of {}", path_);
    const UniqueFd node = look_at_path(operation);
    // fchmod(2) does not take O_PATH descriptors; their entry in /proc leads to the same file.
    if (chmod(fmt::format("/proc/self/fd/{}", node.get()).c_str(), mode) < 0) {
        throw Error::from_errno(operation, "mount /proc");
    }
}

void grant_node(const MacvtapDevice& device, const InterfaceSpec& spec) {
    if (!spec.owner() && !spec.node_mode()) {
        return;
    }
    const TapNode node = TapNode::of(device);
    if (spec.owner()) {
        node.set_owner(*spec.owner());
    }
    if (spec.node_mode()) {
        node.set_mode(*spec.node_mode());
    }
}

std::vector<std::string> find_left_nodes() {
    std::vector<std::string> left;
    std::error_code unreadable;
    for (const auto& entry : std::filesystem::directory_iterator("/dev", unreadable)) {
        const std::string name = entry.path().filename();
        pid_t pid = 0;
        if (!name.starts_with(left_node_prefix)) {
            continue;
        }
        const char* digits = name.c_str() + left_node_prefix.size();
        std::from_chars(digits, name.c_str() + name.size(), pid);
        if (pid > 0 && kill(pid, 0) < 0 && errno == ESRCH) {
            left.push_back(entry.path());
        }
    }
    return left;
}

} // namespace tapline
