#include "tests/netns/killer.h"

#include "tests/netns/program.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <system_error>
#include <utility>

namespace tapline::netns {
namespace {

struct Call {
    uint64_t number;
    const char* name;
    int flags_at = -1; // Argument with open flags: only opening that makes a file counts.
};

constexpr std::array changing_calls = {
    Call{SYS_bind, "bind"},           Call{SYS_clone, "clone"},
    Call{SYS_clone3, "clone3"},       Call{SYS_exit_group, "exit_group"},
    Call{SYS_fchmod, "fchmod"},       Call{SYS_fchmodat, "fchmodat"},
    Call{SYS_fchown, "fchown"},       Call{SYS_fchownat, "fchownat"},
    Call{SYS_flock, "flock"},         Call{SYS_fsconfig, "fsconfig"},
    Call{SYS_fsmount, "fsmount"},     Call{SYS_fsopen, "fsopen"},
    Call{SYS_ftruncate, "ftruncate"}, Call{SYS_ioctl, "ioctl"},
    Call{SYS_kill, "kill"},           Call{SYS_linkat, "linkat"},
    Call{SYS_listen, "listen"},       Call{SYS_mkdirat, "mkdirat"},
    Call{SYS_mknodat, "mknodat"},     Call{SYS_openat, "openat", 2},
    Call{SYS_pwrite64, "pwrite64"},   Call{SYS_renameat, "renameat"},
    Call{SYS_renameat2, "renameat2"}, Call{SYS_sendmsg, "sendmsg"},
    Call{SYS_sendto, "sendto"},       Call{SYS_setns, "setns"},
    Call{SYS_setsid, "setsid"},       Call{SYS_symlinkat, "symlinkat"},
    Call{SYS_unlinkat, "unlinkat"},   Call{SYS_write, "write"},
    Call{SYS_writev, "writev"},
#ifdef SYS_open // Newer machines have only those above.
    Call{SYS_chmod, "chmod"},         Call{SYS_chown, "chown"},
    Call{SYS_fork, "fork"},           Call{SYS_lchown, "lchown"},
    Call{SYS_link, "link"},           Call{SYS_mkdir, "mkdir"},
    Call{SYS_mknod, "mknod"},         Call{SYS_open, "open", 1},
    Call{SYS_rename, "rename"},       Call{SYS_rmdir, "rmdir"},
    Call{SYS_symlink, "symlink"},     Call{SYS_unlink, "unlink"},
    Call{SYS_vfork, "vfork"},
#endif
};

constexpr std::array waiting_calls = {
#ifdef SYS_poll
    uint64_t{SYS_poll},
#endif
    uint64_t{SYS_ppoll},
};

using CallInfo = __ptrace_syscall_info; // Of glibc: linux/ptrace.h does not go with sys/ptrace.h.

[[noreturn]] void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

const Call* changing_call(const CallInfo& info) {
    const auto found = std::ranges::find(changing_calls, info.entry.nr, &Call::number);
    if (found == changing_calls.end()) {
        return nullptr;
    }
    constexpr uint64_t makes_a_file = O_CREAT | (O_TMPFILE & ~O_DIRECTORY);
    const bool counts =
        found->flags_at < 0 || (info.entry.args[found->flags_at] & makes_a_file) != 0;
    return counts ? &*found : nullptr;
}

// What a victim and its killer share until it has become the program.
struct Start {
    UniqueFd tracing_read;
    UniqueFd tracing_write; // A byte, once it is traced.
    UniqueFd errors;        // What it says on stderr.
};

Start prepare() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) < 0) {
        fail("make a pipe");
    }
    return {.tracing_read = UniqueFd(ends[0]),
            .tracing_write = UniqueFd(ends[1]),
            .errors = UniqueFd(memfd_create("errors", MFD_CLOEXEC))};
}

// LeakSanitizer would trace the process itself, and there can be only one that does.
std::string asan_options() {
    const char* given = getenv("ASAN_OPTIONS");
    return std::string(given != nullptr ? given : "") + ":detect_leaks=0";
}

// From fork to exec.
[[noreturn]] void become(const Victim& victim, const Start& start, char* const* argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    setenv("ASAN_OPTIONS", asan_options().c_str(), 1);
    dup2(open("/dev/null", O_RDWR | O_CLOEXEC), STDOUT_FILENO);
    dup2(start.errors.get(), STDERR_FILENO);
    for (const int fd : victim.fds) {
        fcntl(fd, F_SETFD, 0);
    }
    const uid_t user = victim.user;
    char traced = 0;
    if (read(start.tracing_read.get(), &traced, 1) == 1 &&
        (user == 0 || (setgroups(0, nullptr) == 0 && setresgid(user, user, user) == 0 &&
                       setresuid(user, user, user) == 0))) {
        execv(argv[0], argv);
    }
    _exit(127);
}

pid_t fork_victim(const Victim& victim, const Start& start) {
    std::vector<std::string> words = victim.arguments;
    words.insert(words.begin(), program_path(victim.path));
    std::vector<char*> argv;
    std::ranges::transform(words, std::back_inserter(argv),
                           [](std::string& word) { return word.data(); });
    argv.push_back(nullptr);
    prctl(PR_SET_CHILD_SUBREAPER, 1); // What it leaves comes to us.
    const pid_t pid = fork();
    if (pid < 0) {
        fail("fork");
    }
    if (pid == 0) {
        become(victim, start, argv.data());
    }
    return pid;
}

// A process that stops at the entry and at the exit of each of its calls.
class Tracee {
public:
    // Stopped where it has become the program. The victim does not ask for it itself: then a
    // program with capabilities would not get them.
    Tracee(pid_t pid, Victim::Process counted, const UniqueFd& tracing) : pid_(pid) {
        const long forks = counted == Victim::Process::forked ? PTRACE_O_TRACEFORK : 0;
        if (ptrace(PTRACE_SEIZE, pid_, nullptr,
                   PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL | forks) < 0 ||
            write(tracing.get(), "", 1) != 1) {
            fail("trace the victim");
        }
        wait();
    }

    pid_t pid() const { return pid_; }
    int status() const { return WIFEXITED(state_) ? WEXITSTATUS(state_) : 128 + WTERMSIG(state_); }

    // To the next entry or exit of a call; nothing where the process has ended.
    std::optional<CallInfo> next() {
        for (int signal = 0; resume(signal);) {
            if (WSTOPSIG(state_) == (SIGTRAP | 0x80)) {
                CallInfo info{};
                ptrace(PTRACE_GET_SYSCALL_INFO, pid_, sizeof info, &info);
                return info;
            }
            const int event = state_ >> 16;
            if (event == PTRACE_EVENT_FORK) {
                follow();
            }
            signal = event == 0 ? WSTOPSIG(state_) : 0;
        }
        return std::nullopt;
    }

    void end() {
        ::kill(pid_, SIGKILL);
        while (wait()) {}
    }

private:
    bool wait() {
        if (waitpid(pid_, &state_, __WALL) != pid_) {
            fail("wait for the victim");
        }
        return WIFSTOPPED(state_);
    }

    bool resume(int signal) {
        (void)ptrace(PTRACE_SYSCALL, pid_, nullptr, signal); // Refused where it was killed.
        return wait();
    }

    // The forked one from now on; the other runs to its end.
    void follow() {
        unsigned long forked = 0;
        ptrace(PTRACE_GETEVENTMSG, pid_, nullptr, &forked);
        ptrace(PTRACE_DETACH, pid_, nullptr, nullptr);
        waitpid(pid_, nullptr, 0);
        pid_ = static_cast<pid_t>(forked);
        wait();
    }

    pid_t pid_;
    int state_ = 0;
};

void kill_group(pid_t leader) {
    ::kill(-leader, SIGKILL);
    while (waitpid(-leader, nullptr, 0) > 0) {}
}

std::string text_of(const UniqueFd& file) {
    std::array<char, 4096> bytes{};
    const ssize_t count = pread(file.get(), bytes.data(), bytes.size(), 0);
    return {bytes.data(), count > 0 ? static_cast<size_t>(count) : 0};
}

bool waits(const CallInfo& info) {
    return std::ranges::find(waiting_calls, info.entry.nr) != waiting_calls.end();
}

// Nullptr where it came to its end before.
const Call* run_to(Tracee& tracee, const Victim& victim, int call, Moment moment) {
    const pid_t first = tracee.pid();
    auto when_waiting = victim.when_waiting;
    const Call* reached = nullptr;
    for (int count = 0; const auto info = tracee.next();) {
        const bool entry = info->op == PTRACE_SYSCALL_INFO_ENTRY;
        if (entry && (victim.counted == Victim::Process::first || tracee.pid() != first)) {
            const Call* changing = changing_call(*info);
            reached = changing != nullptr && ++count == call ? changing : reached;
        }
        if (entry && when_waiting && waits(*info)) {
            std::exchange(when_waiting, {})(tracee.pid());
        }
        if (reached != nullptr && entry == (moment == Moment::before)) {
            return reached;
        }
    }
    return nullptr;
}

} // namespace

Fate kill_at(const Victim& victim, int call, Moment moment) {
    const Start start = prepare();
    const pid_t leader = fork_victim(victim, start);
    Tracee tracee(leader, victim.counted, start.tracing_write);
    const Call* reached = run_to(tracee, victim, call, moment);
    if (reached != nullptr) {
        tracee.end();
    }
    kill_group(leader);
    return {.killed = reached != nullptr,
            .status = reached != nullptr ? 0 : tracee.status(),
            .call = reached != nullptr ? reached->name : "",
            .errors = text_of(start.errors),
            .pid = tracee.pid()};
}

} // namespace tapline::netns
