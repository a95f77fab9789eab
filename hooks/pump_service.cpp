#include "hooks/pump_service.h"

#include "hooks/kept_pump.h"
#include "hooks/pump_files.h"
#include "hooks/pump_unit.h"

namespace tapline::hooks {

void PumpService::start(const std::vector<std::string>& options) const {
    const PumpFiles files(device_);
    const bool there = files.exist(); // A pump may run: they are its own.
    try {
        files.write_options(options);
        if (systemd_runs()) {
            start_pump_unit(device_);
        } else {
            start_kept_pump(device_);
        }
    } catch (...) {
        if (!there) {
            files.remove();
        }
        throw;
    }
}

void PumpService::stop() const {
    if (!PumpFiles(device_).exist()) {
        return;
    }
    (systemd_runs() ? stop_pump_unit : stop_kept_pump)(device_);
    PumpFiles(device_).remove();
}

std::optional<pid_t> PumpService::pid() const {
    return (systemd_runs() ? find_pump_of_unit : find_kept_pump)(device_);
}

} // namespace tapline::hooks
