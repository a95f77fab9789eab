// One finding of `tapline doctor`: what was looked at, how it is, and what to do where it is not
// ok.
#pragma once

#include <string>
#include <vector>

namespace tapline::doctor {

// What is optional, or what Tapline can do without, is never worse than ok.
enum class State { // The numbers are the exit code.
    ok = 0,
    limited = 1, // Part of Tapline works: the pump, or handing queues to QEMU, or not as fast.
    broken = 2,  // Nothing does; of a parent or a domain: nothing on it.
};
const char* to_text(State state);

struct Check {
    std::string name; // Of a parent or a domain: two words, "parent-link eth0".
    State state;
    std::string detail;    // What was seen.
    std::string why = {};  // What that means; empty where it is ok, as is mend.
    std::string mend = {}; // The command that mends it.
};
using Checks = std::vector<Check>;

State worst_of(const Checks& checks);

// text as one word of a shell: who runs a command of ours runs what it says and nothing else.
std::string shell_word(const std::string& text);

void append(Checks& checks, Checks more);

} // namespace tapline::doctor
