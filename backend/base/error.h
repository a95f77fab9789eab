// What the environment refused, told once at the edge: operation, subject, cause, next step.
#pragma once

#include <cerrno>
#include <stdexcept>
#include <string>

namespace tapline {

class Error : public std::runtime_error {
public:
    struct Parts {
        std::string operation;      // "open /dev/tap7"
        std::string cause;          // "Permission denied"
        std::string next_step = {}; // "run as root or set --owner"; empty where there is none
        int code = 0;               // errno, 0 where the cause is no system call
    };

    explicit Error(const Parts& parts);

    // The cause is the text of errno, taken before anything else can change it.
    static Error from_errno(std::string operation, std::string next_step = {}, int code = errno);

    int code() const { return code_; }

private:
    int code_;
};

// The command line itself is wrong: programs answer with exit code 2.
class UsageError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

} // namespace tapline
