#include "backend/trusted_file.h"

#include "backend/base/error.h"
#include "backend/base/unique_fd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>

namespace tapline {
namespace {

constexpr size_t bytes_max = 64 << 10;

[[noreturn]] void refuse(const std::string& path, const std::string& cause,
                         const std::string& next_step = {}) {
    throw Error(
        {.operation = fmt::format("read {}", path), .cause = cause, .next_step = next_step});
}

// Of the open descriptor: what a path names can change between two looks.
struct stat facts_of(int fd, const std::string& path) {
    struct stat facts {};
    if (fstat(fd, &facts) < 0) {
        throw Error::from_errno(fmt::format("look at {}", path));
    }
    return facts;
}

void require_roots_alone(const struct stat& facts, const std::string& path,
                         const std::string& part) {
    if (facts.st_uid != 0) {
        refuse(path, fmt::format("{} does not belong to root", part),
               fmt::format("chown root {}", part));
    }
    if ((facts.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        refuse(path, fmt::format("{} can be written by others than root", part),
               fmt::format("chmod go-w {}", part));
    }
}

UniqueFd open_part(int folder, const std::string& name, int flags, const std::string& path,
                   const std::string& part) {
    UniqueFd fd(openat(folder, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) {
        const int code = errno;
        throw Error::from_errno(
            part == path ? fmt::format("read {}", path) : fmt::format("read {}: {}", path, part),
            code == ELOOP || code == ENOTDIR ? "symbolic links are not followed" : "", code);
    }
    return fd;
}

std::string text_of(int fd, const std::string& path) {
    std::string text;
    std::array<char, 4096> some;
    while (const ssize_t count = ::read(fd, some.data(), some.size())) {
        if (count < 0) {
            throw Error::from_errno(fmt::format("read {}", path));
        }
        text.append(some.data(), static_cast<size_t>(count));
        if (text.size() > bytes_max) {
            refuse(path, fmt::format("longer than {} bytes", bytes_max));
        }
    }
    return text;
}

} // namespace

std::string read_trusted_file(const std::string& path) {
    const std::filesystem::path whole(path);
    std::filesystem::path part("/");
    UniqueFd folder = open_part(AT_FDCWD, part, O_PATH | O_DIRECTORY, path, part);
    require_roots_alone(facts_of(folder.get(), path), path, part);
    for (const auto& name : whole.parent_path().relative_path()) {
        part /= name;
        folder = open_part(folder.get(), name, O_PATH | O_DIRECTORY, path, part);
        require_roots_alone(facts_of(folder.get(), path), path, part);
    }
    // O_NONBLOCK: a FIFO would let us wait for its writer.
    const UniqueFd file =
        open_part(folder.get(), whole.filename(), O_RDONLY | O_NONBLOCK | O_NOCTTY, path, path);
    const struct stat facts = facts_of(file.get(), path);
    if (!S_ISREG(facts.st_mode)) {
        refuse(path, "not a regular file");
    }
    require_roots_alone(facts, path, path);
    return text_of(file.get(), path);
}

} // namespace tapline
