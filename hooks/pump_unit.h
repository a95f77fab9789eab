// A pump as a unit of systemd: an instance of tapline-pump@.service, named after its device.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace tapline::hooks {

bool systemd_runs();

// Once the options of the device's pump are written. Returns when the pump is ready; one that runs
// goes on. Throws Error.
void start_pump_unit(const std::string& device);
void stop_pump_unit(const std::string& device);
std::optional<pid_t> find_pump_of_unit(const std::string& device);

} // namespace tapline::hooks
