#include "hooks/pump_unit.h"

#include "backend/base/error.h"
#include "backend/tool.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>

namespace tapline::hooks {
namespace {

std::string unit_of(const std::string& device) {
    return fmt::format("tapline-pump@{}.service", device);
}

// What systemctl prints. Throws Error where it fails.
std::string systemctl(const std::string& operation, std::vector<std::string> arguments) {
    const std::string unit = arguments.back();
    arguments.insert(arguments.begin(), "systemctl");
    const auto answer = answer_of(arguments);
    if (!answer) {
        throw Error({.operation = operation, .cause = "systemctl is not in PATH"});
    }
    if (answer->status != 0) {
        throw Error({.operation = operation,
                     .cause = answer->errors.substr(0, answer->errors.find('\n')),
                     .next_step = fmt::format("see `journalctl -u {}`", unit)});
    }
    return answer->output;
}

} // namespace

bool systemd_runs() {
    return std::filesystem::exists("/run/systemd/system"); // sd_booted(3)
}

void start_pump_unit(const std::string& device) {
    try {
        systemctl(fmt::format("start the pump of '{}'", device), {"start", unit_of(device)});
    } catch (const Error&) {
        // Else systemd would keep the name. Not "failed" is no failure of ours.
        (void)answer_of({"systemctl", "reset-failed", unit_of(device)});
        throw;
    }
}

void stop_pump_unit(const std::string& device) {
    systemctl(fmt::format("stop the pump of '{}'", device), {"stop", unit_of(device)});
}

std::optional<pid_t> find_pump_of_unit(const std::string& device) {
    const std::string text = systemctl(fmt::format("look for the pump of '{}'", device),
                                       {"show", "--property=MainPID", "--value", unit_of(device)});
    pid_t pid = 0;
    std::from_chars(text.data(), text.data() + text.size(), pid);
    return pid > 0 ? std::optional(pid) : std::nullopt;
}

} // namespace tapline::hooks
