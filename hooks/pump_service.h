// The pump of one interface as a service of the host: a unit of systemd where that runs, else a
// process that starts it again when it fails. Outlives who started it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace tapline::hooks {

class PumpService {
public:
    // By the device it pumps for.
    explicit PumpService(std::string device) : device_(std::move(device)) {}

    // Returns when the pump is ready; one that runs goes on. options are those of tapline-pump.
    // Throws Error with what the pump said.
    void start(const std::vector<std::string>& options) const;
    // Goes on where it does not run. Throws Error where it does not end.
    void stop() const;
    // Of a pump that runs.
    std::optional<pid_t> pid() const;

private:
    std::string device_;
};

} // namespace tapline::hooks
