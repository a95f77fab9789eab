// QEMU, libvirt and what Tapline has put into libvirt. libvirt itself is never called.
#pragma once

#include "backend/doctor/check.h"
#include "backend/doctor/host.h"

#include <optional>
#include <string>

namespace tapline::doctor {

// The first line of each program's --version; absent where it is not installed.
struct ToolVersions {
    std::optional<std::string> qemu;
    std::optional<std::string> libvirt;
};
ToolVersions find_tools();

Checks tool_checks(const Host& host, const ToolVersions& tools);

} // namespace tapline::doctor
