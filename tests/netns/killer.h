// Runs a program and kills it with SIGKILL before or after its k-th system call that changes
// something outside of its memory.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace tapline::netns {

struct Victim {
    enum class Process { first, forked };

    std::string path; // As Program takes it.
    std::vector<std::string> arguments;
    std::vector<int> fds = {};
    uid_t user = 0;
    Process counted = Process::first;             // Whose calls count.
    std::function<void(pid_t)> when_waiting = {}; // Called once, when that process waits (poll).
};

enum class Moment { before, after };

struct Fate {
    bool killed;      // False: it made fewer calls and came to its end.
    int status;       // Its exit code then.
    std::string call; // At which it was killed.
    std::string errors;
    pid_t pid; // Of the process that was counted.
};

// Calls count from 1. What the victim started is killed too, unless it made a session of its own.
Fate kill_at(const Victim& victim, int call, Moment moment);

} // namespace tapline::netns
