#include "backend/record_folder.h"

#include "backend/base/error.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>
#include <utility>

namespace tapline {
namespace {

namespace fs = std::filesystem;

// Never writable to others, not even for a moment and whatever the umask.
void make_one(const fs::path& path) {
    constexpr mode_t mode = 0755;
    std::error_code failure; // Told by check_one().
    if (mkdir(path.c_str(), mode) == 0) {
        fs::permissions(path, fs::perms(mode), failure);
    }
}

void check_one(const std::string& path, const std::string& operation) {
    struct stat facts {};
    std::error_code none;
    const bool leads_nowhere = stat(path.c_str(), &facts) < 0;
    if (leads_nowhere && !fs::is_symlink(path, none)) {
        throw Error::from_errno(operation, fmt::format("as root: install -d -m 755 {}", path));
    }
    if (leads_nowhere || !S_ISDIR(facts.st_mode)) {
        throw Error({.operation = operation,
                     .cause = fmt::format("{} is no folder", path),
                     .next_step = fmt::format("as root: rm {}", path)});
    }
    if (facts.st_uid != 0 || (facts.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        throw Error({.operation = operation,
                     .cause = fmt::format("{} is not root's alone", path),
                     .next_step = fmt::format("as root: look who wrote what is in it, then "
                                              "chown 0:0 {0} && chmod 755 {0}",
                                              path)});
    }
}

void check(const fs::path& folder, const std::string& operation) {
    check_one(folder.parent_path(), operation);
    check_one(folder, operation);
}

} // namespace

void make_record_folder(const std::string& folder) {
    const fs::path around = fs::path(folder).parent_path();
    if (geteuid() == 0) {
        std::error_code failure;
        fs::create_directories(around.parent_path(), failure);
        make_one(around);
        make_one(folder);
    }
    check(folder, fmt::format("keep records in {}", folder));
}

bool has_record_folder(const std::string& folder) {
    const std::string operation = fmt::format("read the records in {}", folder);
    for (const fs::path& path : {fs::path(folder).parent_path(), fs::path(folder)}) {
        std::error_code none;
        if (fs::symlink_status(path, none).type() == fs::file_type::not_found) {
            return false;
        }
        check_one(path, operation);
    }
    return true;
}

UniqueFd open_plain_file(const std::string& path) {
    UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file && errno != ENOENT && errno != ELOOP && errno != ENXIO) {
        throw Error::from_errno(fmt::format("read {}", path),
                                errno == EACCES ? "needs CAP_DAC_OVERRIDE: run as root" : "");
    }
    struct stat facts {};
    return file && fstat(file.get(), &facts) == 0 && S_ISREG(facts.st_mode) ? std::move(file)
                                                                            : UniqueFd();
}

std::optional<std::string> read_start(int fd, size_t bytes_max) {
    std::string text;
    std::array<char, 4096> part{};
    while (text.size() < bytes_max) {
        const ssize_t length =
            pread(fd, part.data(), std::min(part.size(), bytes_max - text.size()),
                  static_cast<off_t>(text.size()));
        if (length < 0) {
            return std::nullopt;
        }
        if (length == 0) {
            break;
        }
        text.append(part.data(), static_cast<size_t>(length));
    }
    return text;
}

} // namespace tapline
