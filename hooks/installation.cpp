#include "hooks/installation.h"

#include "backend/base/error.h"
#include "backend/tool.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

namespace tapline::hooks {
namespace {

namespace fs = std::filesystem;

const fs::path folder = "/etc/libvirt/hooks";
const fs::path only_hook = folder / "qemu";
const fs::path one_of_many = folder / "qemu.d/tapline"; // Since libvirt 6.5.
constexpr std::string_view program_name = "tapline-hook";

fs::path self() {
    return fs::read_symlink("/proc/self/exe");
}

bool is_ours(const fs::path& path) {
    std::error_code none;
    return fs::read_symlink(path, none).filename() == program_name;
}

// "libvirtd (libvirt) 9.0.0"; a libvirt that cannot be asked is taken for a new one.
bool has_folder_of_hooks() {
    for (const char* daemon : {"virtqemud", "libvirtd"}) {
        const auto answer = answer_of({daemon, "--version"});
        const std::string text = answer && answer->status == 0 ? answer->output : "";
        int major = 0;
        int minor = 0;
        const char* end = text.data() + text.size();
        const char* begin = text.data() + std::min(text.size(), text.rfind(' ') + 1);
        const auto [dot, failure] = std::from_chars(begin, end, major);
        if (text.empty() || failure != std::errc{} || dot == end) {
            continue;
        }
        std::from_chars(dot + 1, end, minor);
        return std::pair(major, minor) >= std::pair(6, 5);
    }
    return true;
}

// Seconds since boot; none where the number means another process by now.
std::optional<double> start_of(const fs::path& process) {
    std::ifstream file(process / "stat");
    std::string text;
    std::getline(file, text);
    const auto name_end = text.rfind(')');
    if (name_end == std::string::npos) {
        return std::nullopt;
    }
    std::istringstream fields(text.substr(name_end + 1));
    std::string skipped;
    for (int field = 3; field < 22; ++field) {
        fields >> skipped;
    }
    double ticks = 0;
    fields >> ticks;
    return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// Of the libvirtd that runs.
std::optional<double> start_of_libvirtd() {
    std::error_code unreadable;
    for (const auto& entry : fs::directory_iterator("/proc", unreadable)) {
        std::string name;
        std::getline(std::ifstream(entry.path() / "comm"), name);
        if (name == "libvirtd" || name == "virtqemud") {
            return start_of(entry.path());
        }
    }
    return std::nullopt;
}

// Since when a file has been where it is, in seconds since boot.
std::optional<double> age_since_boot(const fs::path& path) {
    struct stat facts {};
    timespec now{};
    timespec up{};
    if (lstat(path.c_str(), &facts) < 0 || clock_gettime(CLOCK_REALTIME, &now) < 0 ||
        clock_gettime(CLOCK_BOOTTIME, &up) < 0) {
        return std::nullopt;
    }
    const auto seconds = [](const timespec& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
    };
    return seconds(up) - (seconds(now) - seconds(facts.st_ctim));
}

// What is in the way is told as what it is. Nobody's but ours is replaced.
void check_place(const fs::path& path) {
    std::error_code none;
    const fs::path around = path.parent_path();
    const fs::file_status found = fs::symlink_status(path, none);
    Error::Parts refusal{
        .operation = fmt::format("install the hook as {}", path.string()),
        .cause = "another program has this place",
        .next_step = fmt::format("let that call {} \"$@\" with its input", self().string())};
    if (fs::exists(fs::symlink_status(around, none)) && !fs::is_directory(around, none)) {
        refusal.cause = fmt::format("{} is no folder", around.string());
        refusal.next_step =
            fmt::format("as root: look what it is for, then rm {}", around.string());
    } else if (!fs::exists(found)) {
        return;
    } else if (fs::is_directory(path, none)) {
        refusal.cause = "it is a folder";
        refusal.next_step = "as root: look what is in it, then move it away";
    } else if (fs::is_symlink(found) && !fs::exists(path, none)) {
        refusal.cause = fmt::format("it is a link to {}, which is not there",
                                    fs::read_symlink(path, none).string());
        refusal.next_step = fmt::format("as root: rm {}", path.string());
    }
    throw Error(refusal);
}

bool libvirtd_must_restart() {
    const auto start = start_of_libvirtd();
    if (!start) {
        return false;
    }
    const auto was_there = [&](const fs::path& hook) {
        const auto since = age_since_boot(hook);
        return since && *since < *start && access(hook.c_str(), X_OK) == 0;
    };
    std::error_code missing;
    for (const auto& entry : fs::directory_iterator(one_of_many.parent_path(), missing)) {
        if (was_there(entry.path())) {
            return false;
        }
    }
    return !was_there(only_hook);
}

} // namespace

Installation install_hook() {
    const fs::path path = has_folder_of_hooks() ? one_of_many : only_hook;
    if (!is_ours(path)) {
        check_place(path);
    }
    const bool there = is_ours(path) && fs::read_symlink(path) == self();
    if (!there) {
        std::error_code failure;
        fs::create_directories(path.parent_path(), failure);
        unlink(path.c_str());
        if (symlink(self().c_str(), path.c_str()) < 0) {
            throw Error::from_errno(fmt::format("install the hook as {}", path.string()),
                                    errno == EACCES ? "run as root" : "");
        }
    }
    return {.path = path, .made_now = !there, .libvirtd_must_restart = libvirtd_must_restart()};
}

std::optional<Installation> find_hook() {
    for (const fs::path& path : {one_of_many, only_hook}) {
        if (is_ours(path)) {
            return Installation{
                .path = path, .made_now = false, .libvirtd_must_restart = libvirtd_must_restart()};
        }
    }
    return std::nullopt;
}

std::optional<fs::path> uninstall_hook() {
    std::optional<fs::path> removed;
    while (const auto found = find_hook()) {
        if (unlink(found->path.c_str()) < 0) {
            throw Error::from_errno(fmt::format("remove {}", found->path.string()),
                                    errno == EACCES ? "run as root" : "");
        }
        removed = found->path;
    }
    return removed;
}

} // namespace tapline::hooks
