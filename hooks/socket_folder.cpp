#include "hooks/socket_folder.h"

#include "backend/base/error.h"
#include "backend/record_folder.h"
#include "hooks/qemu_user.h"

#include "config.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace tapline::hooks {
namespace {

constexpr auto folder = TAPLINE_RUNSTATE "/sockets";
constexpr mode_t folder_mode = 0750;

} // namespace

void make_socket_folder() {
    make_record_folder(TAPLINE_RUNSTATE "/domains"); // And the folder around both, root's alone.
    const std::string operation = fmt::format("make {} for QEMU's sockets", folder);
    const Owner owner = find_qemu_user();
    const bool there = mkdir(folder, folder_mode) == 0 || errno == EEXIST;
    struct stat facts {};
    if (there && lstat(folder, &facts) == 0 && !S_ISDIR(facts.st_mode)) {
        throw Error({.operation = operation,
                     .cause = "it is no folder",
                     .next_step = fmt::format("rm {}", folder)});
    }
    if (!there || lchown(folder, owner.user, owner.group) < 0) {
        throw Error::from_errno(operation);
    }
}

void remove_socket(const std::string& path) noexcept {
    if (std::filesystem::path(path).parent_path() == folder) {
        unlink(path.c_str());
    }
}

} // namespace tapline::hooks
