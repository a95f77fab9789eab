// What a measurement ran on, without which it says nothing.
#pragma once

#include <string>
#include <vector>

namespace tapline::bench {

struct Environment {
    std::string kernel;
    std::string cpu;
    unsigned cpus; // That this process may use.
    std::string build;
    double busy; // Share of the CPUs that others use at the moment.

    static Environment look();

    // Why figures taken here mean little; a sentence each.
    std::vector<std::string> doubts() const;
};

} // namespace tapline::bench
