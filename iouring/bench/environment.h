// What a measurement ran on, without which it says nothing.
#pragma once

#include <string>

namespace tapline::bench {

struct Environment {
    std::string kernel;
    std::string cpu;
    unsigned cpus; // That this process may use.
    std::string build;

    static Environment look();

    bool is_release() const { return build == "release"; }
};

} // namespace tapline::bench
