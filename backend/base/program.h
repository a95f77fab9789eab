// The edge of every program: runs it, tells what stopped it and gives the exit code.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace tapline {

// Exit codes: what body returns, 1 after any exception, 2 after a UsageError.
int run_program(const std::string& name, const std::function<int()>& body);

// Answers --version, which stands alone. False: it was not asked. Throws UsageError.
bool tell_version(const std::string& program, const std::vector<std::string>& arguments);

} // namespace tapline
