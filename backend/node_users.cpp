#include "backend/node_users.h"

#include "backend/base/error.h"
#include "backend/base/unique_fd.h"
#include "backend/tap_node.h"

#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

namespace tapline {
namespace {

namespace fs = std::filesystem;

std::optional<int> number_in(const std::string& name) {
    int number = 0;
    const auto [stop, failure] = std::from_chars(name.data(), name.data() + name.size(), number);
    const bool whole = failure == std::errc{} && stop == name.data() + name.size();
    return whole ? std::optional(number) : std::nullopt;
}

// A queue outlives its device, whose number goes to the next one: only the queue itself can tell.
// Where it cannot be asked, it is one.
bool is_attached(pid_t pid, int fd) {
    const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    const UniqueFd queue(static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), fd, 0)));
    ifreq request{};
    return !queue || ioctl(queue.get(), TUNGETIFF, &request) == 0;
}

bool has_open(const fs::path& process, pid_t pid, dev_t number) {
    std::error_code failure;
    const fs::directory_iterator fds(process / "fd", failure);
    if (failure == std::errc::permission_denied) { // It may be the one; gone ones are not.
        throw Error({.operation = fmt::format("look at {}/fd", process.string()),
                     .cause = failure.message(),
                     .next_step = "needs CAP_SYS_PTRACE: run as root"});
    }
    return std::any_of(begin(fds), end(fds), [&](const fs::directory_entry& entry) {
        struct stat facts {}; // Of the open file itself: its name may be anything.
        const auto fd = number_in(entry.path().filename());
        return fd && stat(entry.path().c_str(), &facts) == 0 && S_ISCHR(facts.st_mode) &&
               facts.st_rdev == number && is_attached(pid, *fd);
    });
}

} // namespace

std::optional<NodeUser> find_node_user(const MacvtapDevice& device) {
    const dev_t number = TapNode::of(device).number();
    std::error_code unreadable;
    for (const auto& entry : fs::directory_iterator("/proc", unreadable)) {
        const auto pid = number_in(entry.path().filename());
        if (pid && has_open(entry.path(), *pid, number)) {
            NodeUser user{.program = {}, .pid = *pid};
            std::getline(std::ifstream(entry.path() / "comm"), user.program);
            return user;
        }
    }
    return std::nullopt;
}

} // namespace tapline
