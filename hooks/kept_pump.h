// A pump where no systemd runs: a process of its own starts it, and again when it was killed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

namespace tapline::hooks {

// Once the options of the device's pump are written. Returns when the pump is ready; one that runs
// goes on. Throws Error with what it said, or where it is not ready within the limit.
void start_kept_pump(const std::string& device,
                     std::chrono::milliseconds limit = std::chrono::seconds(10));
// Throws Error where it does not end.
void stop_kept_pump(const std::string& device);
std::optional<pid_t> find_kept_pump(const std::string& device);

// What the keeper does until SIGTERM, or until the pump ends by itself: what it was refused once
// it would be refused again. lock is the pump's lock file, inherited open and locked. Returns the
// pump's exit code.
int keep_pump(const std::string& device, int lock);

} // namespace tapline::hooks
