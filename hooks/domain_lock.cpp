#include "hooks/domain_lock.h"

#include "backend/base/error.h"
#include "backend/record_folder.h"

#include "config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

namespace tapline::hooks {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto folder = TAPLINE_RUNSTATE "/domains";
constexpr std::chrono::milliseconds pause{10}; // No call waits for a lock and for a time.

std::string path_of(const std::string& name) {
    return fmt::format("{}/{}.lock", folder, name);
}

// Who had it may have removed it between open() and flock(): then it is nobody's lock any more.
bool is_there(const UniqueFd& file) {
    struct stat facts {};
    return fstat(file.get(), &facts) == 0 && facts.st_nlink > 0;
}

} // namespace

DomainLock DomainLock::take(const std::string& name, std::chrono::milliseconds limit) {
    const std::string path = path_of(name);
    make_record_folder(folder);
    for (const auto deadline = Clock::now() + limit;;) {
        UniqueFd file(
            open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
        const bool taken = file && flock(file.get(), LOCK_EX | LOCK_NB) == 0;
        if (taken && is_there(file)) {
            return {path, std::move(file)};
        }
        if (!file || (!taken && errno != EWOULDBLOCK && errno != EINTR)) {
            throw Error::from_errno(fmt::format("lock {}", path));
        }
        if (Clock::now() > deadline) {
            throw Error({.operation = fmt::format("lock {}", path),
                         .cause = "another process has it and does not end",
                         .next_step = fmt::format("see which with `fuser -v {}`", path)});
        }
        std::this_thread::sleep_for(taken ? std::chrono::milliseconds(0) : pause);
    }
}

bool DomainLock::exists(const std::string& name) {
    return access(path_of(name).c_str(), F_OK) == 0;
}

DomainLock::~DomainLock() {
    if (file_) {
        unlink(path_.c_str());
    }
}

} // namespace tapline::hooks
