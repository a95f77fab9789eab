// One of our programs as a child: its exit code, what it says, and its end.
#pragma once

#include "backend/base/unique_fd.h"

#include <nlohmann/json.hpp>
#include <sys/types.h>

#include <string>
#include <vector>

namespace tapline::netns {

// Below the build folder, or anywhere if absolute. Another build's programs are tested where
// TAPLINE_PROGRAM_DIR names its folder: those of build/asan and build/tsan are run that way.
std::string program_path(const std::string& path);
bool programs_are_of(const std::string& build); // "asan"

class Program {
public:
    // Runs program_path(path) with stdout and stderr read here; fds are inherited under their own
    // numbers.
    Program(const std::string& path, std::vector<std::string> arguments, std::vector<int> fds = {});
    ~Program(); // Kills it if it still runs.
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    pid_t pid() const { return pid_; }
    // The next line of stdout within the deadline; throws where it ends before.
    std::string next_line();
    // The next status object with this event; others are passed over.
    nlohmann::json wait_for(const std::string& event);

    void signal(int number);
    int wait(); // Its exit code, 128 + N after signal N. Throws after the deadline.
    // What is left of its stdout, and all it said on stderr; after wait().
    std::string output();
    std::string errors();

private:
    pid_t pid_ = -1;
    UniqueFd pidfd_;
    UniqueFd output_;
    UniqueFd errors_;
    std::string pending_;
};

// Whatever runs in our network namespace of a program whose name begins so.
std::vector<pid_t> running(const std::string& program);

// Of a program that runs to its end.
struct Outcome {
    int status;
    std::string output;
    std::string errors;
};
Outcome outcome_of(const std::string& path, const std::vector<std::string>& arguments,
                   const std::vector<int>& fds = {});

} // namespace tapline::netns
