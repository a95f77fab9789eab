// A command that runs as a child with chosen descriptors and, if asked, as another user.
#pragma once

#include "backend/account.h"
#include "backend/base/unique_fd.h"

#include <sys/types.h>

#include <string>
#include <vector>

namespace tapline {

struct Command {
    std::vector<std::string> arguments; // The program first, looked for in PATH.
    std::vector<int> fds;               // Inherited under their own numbers, beside 0 to 2.
    const Account* account = nullptr;   // Null: the caller's.
    int network_namespace = -1;         // Negative: the caller's.
    int output = -1;                    // Where 1 and 2 go. Negative: the caller's.
    int signal_at_end = 0;              // When the thread that started it ends; 0: none.
    bool detached = false;              // In a session of its own, with nothing to read.
};

class ChildProcess {
public:
    // Throws Error where the command cannot be executed.
    static ChildProcess start(const Command& command);

    int fd() const { return pidfd_.get(); } // Readable once it has ended.
    pid_t pid() const { return pid_; }
    void signal(int number);
    // Waits for its end. Its exit code, 128 + N after signal N.
    int wait();

private:
    ChildProcess(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

    pid_t pid_;
    UniqueFd pidfd_;
};

} // namespace tapline
