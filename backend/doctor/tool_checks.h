// QEMU, libvirt and what Tapline has put into libvirt. libvirt itself is never called.
#pragma once

#include "backend/doctor/check.h"
#include "backend/doctor/host.h"

#include <string>

namespace tapline::doctor {

struct Tool {
    std::string version = {}; // The first line of --version; empty where it is not installed.
    std::string hanging = {}; // The program that did not answer in time.
};
struct Tools {
    Tool qemu;
    Tool libvirt;
};
Tools find_tools();

Checks tool_checks(const Host& host, const Tools& tools);

} // namespace tapline::doctor
