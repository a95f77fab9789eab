// Whether io_uring is there, is allowed and has what the pump uses of it.
#pragma once

#include "backend/doctor/check.h"
#include "backend/doctor/host.h"

#include <string>
#include <vector>

namespace tapline::doctor {

// What the kernel answered to this process.
struct IoUringProbe {
    int error = 0;                    // errno of the simplest ring; 0 where it could be made.
    std::vector<std::string> missing; // Flags, features and operations by the kernel's names.
};
IoUringProbe probe_io_uring();

Checks io_uring_checks(const Host& host, const IoUringProbe& probe);

} // namespace tapline::doctor
