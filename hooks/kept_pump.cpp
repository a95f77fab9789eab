#include "hooks/kept_pump.h"

#include "backend/base/error.h"
#include "backend/base/log.h"
#include "backend/base/main_loop.h"
#include "backend/base/readiness.h"
#include "backend/child_process.h"
#include "backend/record_folder.h"
#include "backend/verbs/verb_program.h"
#include "hooks/pump_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>
#include <utility>

namespace tapline::hooks {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds end_limit{5'000};
constexpr milliseconds start_poll{1};
// Between two starts of a pump that is killed again and again: longer each time.
constexpr milliseconds start_pause_min{1'000};
constexpr milliseconds start_pause_max{60'000};
constexpr int killed = 128; // Plus the signal: how ChildProcess::wait() tells.

UniqueFd open_lock(const PumpFiles& files) {
    return UniqueFd(
        ::open(files.lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
}

// Of this open file: the keeper inherits it. Not flock(), which nobody could look at without
// taking it for a moment, in which another start would believe that a keeper runs.
struct flock whole_file() {
    return {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0, .l_pid = 0};
}

bool take(const UniqueFd& file) {
    struct flock lock = whole_file();
    if (fcntl(file.get(), F_OFD_SETLK, &lock) == 0) {
        return true;
    }
    if (errno != EAGAIN && errno != EACCES) {
        throw Error::from_errno("lock the file of a pump's keeper");
    }
    return false;
}

bool is_taken(const UniqueFd& file) {
    struct flock lock = whole_file();
    if (fcntl(file.get(), F_OFD_GETLK, &lock) < 0) {
        throw Error::from_errno("look at the lock of a pump's keeper");
    }
    return lock.l_type != F_UNLCK;
}

bool has_open(pid_t process, const UniqueFd& file) {
    struct stat wanted {};
    std::error_code gone;
    if (fstat(file.get(), &wanted) < 0) {
        return false;
    }
    for (const auto& entry :
         std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", process), gone)) {
        struct stat facts {};
        if (stat(entry.path().c_str(), &facts) == 0 && facts.st_ino == wanted.st_ino &&
            facts.st_dev == wanted.st_dev) {
            return true;
        }
    }
    return false;
}

bool lives(pid_t process) {
    std::error_code unknown;
    return std::filesystem::exists(fmt::format("/proc/{}", process), unknown);
}

// Of the keeper that has the lock; none where nobody has it. It writes its number before anything
// else: 0 is a keeper that only begins, where the last one's number may still be. Throws Error for
// the number of somebody else, who shall not be killed for it.
std::optional<pid_t> find_keeper(const PumpFiles& files) {
    const UniqueFd lock = open_plain_file(files.lock);
    if (!lock || !is_taken(lock)) {
        return std::nullopt;
    }
    pid_t pid = 0;
    std::ifstream(files.lock) >> pid;
    if (pid == 0 || has_open(pid, lock)) {
        return pid;
    }
    if (!is_taken(lock)) { // It has ended meanwhile.
        return std::nullopt;
    }
    if (!lives(pid)) {
        return 0;
    }
    throw Error({.operation = fmt::format("read {}", files.lock),
                 .cause = fmt::format("process {} is not the pump's keeper", pid),
                 .next_step = fmt::format("end the one that `fuser -v {}` tells", files.lock)});
}

int open_process(pid_t pid) {
    return static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
}

// False where not even SIGKILL helps. process is the keeper's; it leads a group of processes, in
// which there is but its pump.
bool end_keeper(pid_t keeper, int process) {
    for (const auto& [receiver, signal] : {std::pair(keeper, SIGTERM), {-keeper, SIGKILL}}) {
        (void)kill(receiver, signal); // Has the number still, as it was seen to live.
        pollfd end{.fd = process, .events = POLLIN, .revents = 0};
        if (poll(&end, 1, static_cast<int>(end_limit.count())) > 0) {
            return true;
        }
    }
    return false;
}

std::string last_words(const PumpFiles& files) {
    std::ifstream log(files.log);
    std::string last;
    for (std::string line; std::getline(log, line);) {
        last = line.empty() ? last : line;
    }
    const auto name_end = last.find(": "); // "tapline-pump: sentence"
    return name_end == std::string::npos ? "it said nothing" : last.substr(name_end + 2);
}

void wait_until_ready(const PumpFiles& files, const std::string& operation, ReadySocket& ready,
                      ChildProcess& keeper, milliseconds limit) {
    std::array<pollfd, 2> ends{{{.fd = ready.fd(), .events = POLLIN, .revents = 0},
                                {.fd = keeper.fd(), .events = POLLIN, .revents = 0}}};
    const auto deadline = Clock::now() + limit;
    milliseconds left = limit;
    bool ended = false;
    while (left.count() > 0 && !ended) {
        (void)poll(ends.data(), ends.size(), static_cast<int>(left.count()));
        if (ready.take()) {
            return;
        }
        ended = ends[1].revents != 0;
        left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    }
    if (end_keeper(keeper.pid(), keeper.fd())) {
        keeper.wait();
    }
    throw Error(
        {.operation = operation, .cause = ended ? last_words(files) : "it was not ready in time"});
}

class Keeper {
public:
    explicit Keeper(const std::string& device) : files_(device) {}

    int run();

private:
    void start();
    void start_again();
    void start_later();
    void on_end();

    MainLoop loop_;
    PumpFiles files_;
    std::optional<ChildProcess> pump_;
    MainLoop::Source end_;
    MainLoop::Source pause_;
    Clock::time_point started_;
    milliseconds next_pause_ = start_pause_min;
    bool asked_to_end_ = false;
    int status_ = 0;
};

int Keeper::run() {
    const auto on_terminate = loop_.on_signal(SIGTERM, [&] {
        asked_to_end_ = true;
        if (pump_) {
            pump_->signal(SIGTERM);
        } else {
            loop_.quit();
        }
    });
    start();
    loop_.run();
    return status_;
}

void Keeper::start() {
    std::vector<std::string> arguments = files_.read_options();
    arguments.insert(arguments.begin(), verb_program("pump"));
    started_ = Clock::now();
    pump_ = ChildProcess::start({.arguments = arguments, .fds = {}, .signal_at_end = SIGTERM});
    end_ = loop_.on_readable(pump_->fd(), [&] { on_end(); });
}

void Keeper::on_end() {
    status_ = pump_->wait();
    pump_.reset();
    end_.reset();
    if (status_ < killed || asked_to_end_) {
        loop_.quit();
        return;
    }
    log(LogLevel::warning, "the pump was killed by signal {}: starting it again", status_ - killed);
    if (Clock::now() - started_ > start_pause_min) {
        next_pause_ = start_pause_min;
        start_again();
    } else {
        start_later();
    }
}

// The host may be short of memory for a moment.
void Keeper::start_again() {
    try {
        start();
    } catch (const Error& error) {
        log(LogLevel::warning, "{}", error.what());
        start_later();
    }
}

void Keeper::start_later() {
    pause_ = loop_.every(next_pause_, [&] {
        pause_.reset();
        start_again();
    });
    next_pause_ = std::min(2 * next_pause_, start_pause_max);
}

} // namespace

void start_kept_pump(const std::string& device, milliseconds limit) {
    const std::string operation = fmt::format("start the pump of '{}'", device);
    const PumpFiles files(device);
    const UniqueFd lock = open_lock(files);
    if (!lock) {
        throw Error::from_errno(fmt::format("{}: open {}", operation, files.lock));
    }
    if (!take(lock)) {
        unlink(files.ready.c_str()); // Of a start that was killed: there is one at a time.
        return;
    }
    if (ftruncate(lock.get(), 0) < 0) { // First: others shall not look for the last keeper.
        throw Error::from_errno(fmt::format("{}: empty {}", operation, files.lock));
    }
    const UniqueFd log(::open(files.log.c_str(),
                              O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
                              S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH));
    if (!log) {
        throw Error::from_errno(fmt::format("{}: open {}", operation, files.log));
    }
    ReadySocket ready = ReadySocket::open(files.ready);
    setenv(ready_socket_variable, ready.address().c_str(), 1);
    ChildProcess keeper = ChildProcess::start(
        {.arguments = {verb_program("hook"), "keep-pump", device, fmt::to_string(lock.get())},
         .fds = {lock.get()},
         .output = log.get(),
         .detached = true});
    unsetenv(ready_socket_variable);
    wait_until_ready(files, operation, ready, keeper, limit);
}

void stop_kept_pump(const std::string& device) {
    const PumpFiles files(device);
    const auto deadline = Clock::now() + end_limit;
    while (const auto keeper = find_keeper(files)) {
        const UniqueFd process(*keeper > 0 ? open_process(*keeper) : -1);
        const bool tried = process && find_keeper(files) == keeper;
        if (tried && end_keeper(*keeper, process.get())) {
            continue;
        }
        if (tried || Clock::now() > deadline) {
            throw Error({.operation = fmt::format("stop the pump of '{}'", device),
                         .cause = "its keeper does not end",
                         .next_step = fmt::format("see it with `fuser -v {}`", files.lock)});
        }
        std::this_thread::sleep_for(start_poll); // Until it has written its number.
    }
}

std::optional<pid_t> find_kept_pump(const std::string& device) {
    const auto keeper = find_keeper(PumpFiles(device));
    pid_t pump = 0;
    if (keeper && std::ifstream(fmt::format("/proc/{0}/task/{0}/children", *keeper)) >> pump) {
        return pump;
    }
    return std::nullopt;
}

int keep_pump(const std::string& device, int lock) {
    const std::string pid = fmt::format("{}\n", getpid());
    if (pwrite(lock, pid.data(), pid.size(), 0) < 0) {
        throw Error::from_errno(fmt::format("write {}", PumpFiles(device).lock));
    }
    const UniqueFd held(lock); // Not the pump's: it ends with the keeper.
    return Keeper(device).run();
}

} // namespace tapline::hooks
