#include "backend/child_process.h"

#include "backend/base/error.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <csignal>

namespace tapline {
namespace {

// What stopped the child before it became the command.
struct Failure {
    enum class Step : int { network_namespace, groups, group, user, descriptors, execute } step;
    int code;
};

const char* to_text(Failure::Step step) {
    switch (step) {
    case Failure::Step::network_namespace:
        return "return to the caller's network namespace";
    case Failure::Step::groups:
    case Failure::Step::group:
    case Failure::Step::user:
        return "become the user";
    case Failure::Step::descriptors:
        return "hand over descriptors";
    case Failure::Step::execute:
        return "execute it";
    }
    return "start";
}

// From fork to exec: system calls only.
Failure become(const Command& command, char* const* argv, pid_t caller) {
    const auto failed = [](Failure::Step step) { return Failure{step, errno}; };
    if (command.network_namespace >= 0 && setns(command.network_namespace, CLONE_NEWNET) < 0) {
        return failed(Failure::Step::network_namespace);
    }
    if (const Account* account = command.account) {
        if (setgroups(account->groups.size(), account->groups.data()) < 0) {
            return failed(Failure::Step::groups);
        }
        if (setresgid(account->group, account->group, account->group) < 0) {
            return failed(Failure::Step::group);
        }
        if (setresuid(account->user, account->user, account->user) < 0) {
            return failed(Failure::Step::user);
        }
    }
    if (command.detached) {
        const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (setsid() < 0 || nothing < 0 || dup2(nothing, STDIN_FILENO) < 0) {
            return failed(Failure::Step::descriptors);
        }
    }
    if (command.output >= 0 &&
        (dup2(command.output, STDOUT_FILENO) < 0 || dup2(command.output, STDERR_FILENO) < 0)) {
        return failed(Failure::Step::descriptors);
    }
    if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0) {
        return failed(Failure::Step::descriptors);
    }
    for (const int fd : command.fds) {
        if (fcntl(fd, F_SETFD, 0) < 0) {
            return failed(Failure::Step::descriptors);
        }
    }
    if (command.signal_at_end != 0) {
        if (prctl(PR_SET_PDEATHSIG, command.signal_at_end) < 0) {
            return failed(Failure::Step::execute);
        }
        if (getppid() != caller) { // It ended before that.
            (void)raise(command.signal_at_end);
        }
    }
    (void)std::signal(SIGPIPE, SIG_DFL); // An ignored one would stay ignored,
    sigset_t none{};
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, nullptr); // and one held back would stay so.
    execvp(argv[0], argv);
    return failed(Failure::Step::execute);
}

} // namespace

ChildProcess ChildProcess::start(const Command& command) {
    std::vector<std::string> words = command.arguments;
    std::vector<char*> argv;
    std::ranges::transform(words, std::back_inserter(argv),
                           [](std::string& s) { return s.data(); });
    argv.push_back(nullptr);

    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) < 0) {
        throw Error::from_errno("start a command");
    }
    const UniqueFd told(ends[0]);
    UniqueFd tells(ends[1]);
    const pid_t caller = getpid();
    const pid_t pid = fork();
    if (pid < 0) {
        throw Error::from_errno("start a command");
    }
    if (pid == 0) {
        const Failure failure = become(command, argv.data(), caller);
        (void)!write(tells.get(), &failure, sizeof failure);
        _exit(1);
    }
    tells.reset();
    ChildProcess child(pid, UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))));
    if (!child.pidfd_) { // Its end could not be waited for together with other things.
        const int code = errno;
        child.signal(SIGKILL);
        child.wait();
        throw Error::from_errno("watch a command", {}, code);
    }
    Failure failure{};
    if (read(told.get(), &failure, sizeof failure) == sizeof failure) { // Nothing after an exec.
        child.wait();
        throw Error::from_errno(
            fmt::format("run '{}': {}", command.arguments.front(), to_text(failure.step)),
            failure.code == ENOENT && command.arguments.front().find('/') == std::string::npos
                ? "it is not in PATH"
                : "",
            failure.code);
    }
    return child;
}

void ChildProcess::signal(int number) {
    (void)kill(pid_, number); // It may have ended; until wait() its number is its own.
}

int ChildProcess::wait() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {}
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

} // namespace tapline
