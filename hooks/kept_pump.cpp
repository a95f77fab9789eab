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
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>

namespace tapline::hooks {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds ready_limit{10'000};
constexpr milliseconds end_limit{5'000};
// Between two starts of a pump that is killed again and again.
constexpr milliseconds start_pause{1'000};
constexpr int killed = 128; // Plus the signal: how ChildProcess::wait() tells.

UniqueFd open_lock(const PumpFiles& files) {
    return UniqueFd(
        ::open(files.lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
}

// Of the keeper that has the lock; none where nobody has it. It writes its number before anything
// else: a file without one is that of a keeper that only begins.
std::optional<pid_t> find_keeper(const PumpFiles& files) {
    const UniqueFd lock = open_plain_file(files.lock);
    if (!lock || flock(lock.get(), LOCK_SH | LOCK_NB) == 0) {
        return std::nullopt;
    }
    pid_t pid = 0;
    std::ifstream(files.lock) >> pid;
    return pid;
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
                      ChildProcess& keeper) {
    std::array<pollfd, 2> ends{{{.fd = ready.fd(), .events = POLLIN, .revents = 0},
                                {.fd = keeper.fd(), .events = POLLIN, .revents = 0}}};
    const auto deadline = Clock::now() + ready_limit;
    milliseconds left = ready_limit;
    bool ended = false;
    while (left.count() > 0 && !ended) {
        (void)poll(ends.data(), ends.size(), static_cast<int>(left.count()));
        if (ready.take()) {
            return;
        }
        ended = ends[1].revents != 0;
        left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    }
    keeper.signal(SIGTERM);
    keeper.wait();
    throw Error(
        {.operation = operation, .cause = ended ? last_words(files) : "it was not ready in time"});
}

class Keeper {
public:
    explicit Keeper(const std::string& device) : files_(device) {}

    int run();

private:
    void start();
    void on_end();

    MainLoop loop_;
    PumpFiles files_;
    std::optional<ChildProcess> pump_;
    MainLoop::Source end_;
    MainLoop::Source pause_;
    Clock::time_point started_;
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
    if (Clock::now() - started_ > start_pause) {
        start();
    } else {
        pause_ = loop_.every(start_pause, [&] {
            pause_.reset();
            start();
        });
    }
}

} // namespace

void start_kept_pump(const std::string& device) {
    const std::string operation = fmt::format("start the pump of '{}'", device);
    const PumpFiles files(device);
    const UniqueFd lock = open_lock(files);
    if (!lock) {
        throw Error::from_errno(fmt::format("{}: open {}", operation, files.lock));
    }
    if (flock(lock.get(), LOCK_EX | LOCK_NB) < 0) {
        unlink(files.ready.c_str()); // Of a start that was killed: there is one at a time.
        return;
    }
    const UniqueFd log(::open(files.log.c_str(),
                              O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
                              S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH));
    if (!log || ftruncate(lock.get(), 0) < 0) {
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
    wait_until_ready(files, operation, ready, keeper);
}

void stop_kept_pump(const std::string& device) {
    const PumpFiles files(device);
    const auto deadline = Clock::now() + end_limit;
    while (const auto keeper = find_keeper(files)) {
        const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
        const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, *keeper, 0)));
        if (left.count() <= 0) {
            throw Error({.operation = fmt::format("stop the pump of '{}'", device),
                         .cause = fmt::format("its keeper, process {}, does not end", *keeper),
                         .next_step = fmt::format("kill -9 {}", *keeper)});
        }
        if (process) { // Has the number still, as it has the lock.
            (void)kill(*keeper, SIGTERM);
        }
        pollfd end{.fd = process.get(), .events = POLLIN, .revents = 0};
        (void)poll(&end, process ? 1 : 0, process ? static_cast<int>(left.count()) : 1);
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
