// One word of a command line that is a command of its own, as in `tapline create`.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace tapline {

using Arguments = std::vector<std::string>; // The program's or verb's name comes first.

struct Verb {
    const char* name;
    const char* help;
    int (*run)(const Arguments&); // Returns the exit code.
};

// nullptr where none has the name.
const Verb* find_verb(std::span<const Verb> verbs, const std::string& name);

// Runs a verb under the name "PROGRAM VERB", which its --help and its refusals show.
int run_verb(const Verb& verb, const Arguments& program_arguments);

// The verbs of a verb. Throws UsageError where arguments[1] names none of them; --help lists them.
int run_one_of(std::span<const Verb> verbs, const Arguments& arguments);

// A line for each verb.
std::string help_of(std::span<const Verb> verbs);

} // namespace tapline
