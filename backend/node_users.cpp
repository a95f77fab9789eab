#include "backend/node_users.h"

#include "backend/base/error.h"
#include "backend/tap_node.h"

#include <fmt/format.h>

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

namespace tapline {
namespace {

namespace fs = std::filesystem;

bool has_open(const fs::path& process, dev_t number) {
    std::error_code failure;
    const fs::directory_iterator fds(process / "fd", failure);
    if (failure == std::errc::permission_denied) { // It may be the one; gone ones are not.
        throw Error({.operation = fmt::format("look at {}/fd", process.string()),
                     .cause = failure.message(),
                     .next_step = "needs CAP_SYS_PTRACE: run as root"});
    }
    return std::any_of(begin(fds), end(fds), [&](const fs::directory_entry& entry) {
        struct stat facts {}; // Of the open file itself: its name may be anything.
        return stat(entry.path().c_str(), &facts) == 0 && S_ISCHR(facts.st_mode) &&
               facts.st_rdev == number;
    });
}

} // namespace

std::optional<NodeUser> find_node_user(const MacvtapDevice& device) {
    const dev_t number = TapNode::of(device).number();
    std::error_code unreadable;
    for (const auto& entry : fs::directory_iterator("/proc", unreadable)) {
        const std::string name = entry.path().filename();
        NodeUser user{.program = {}, .pid = 0};
        const auto [stop, failure] =
            std::from_chars(name.data(), name.data() + name.size(), user.pid);
        if (failure == std::errc{} && stop == name.data() + name.size() &&
            has_open(entry.path(), number)) {
            std::getline(std::ifstream(entry.path() / "comm"), user.program);
            return user;
        }
    }
    return std::nullopt;
}

} // namespace tapline
