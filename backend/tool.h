// A program of the host, run to its end for what it says.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace tapline {

struct Answer {
    int status; // Its exit code, 128 + N after signal N.
    std::string output;
    std::string errors;
};

// command[0] is a path or is found in PATH; it inherits standard input. Absent where it cannot be
// executed.
std::optional<Answer> answer_of(std::vector<std::string> command);

} // namespace tapline
