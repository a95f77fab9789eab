// What Tapline needs of the kernel and of this process.
#pragma once

#include "backend/doctor/check.h"
#include "backend/doctor/host.h"

namespace tapline::doctor {

Checks host_checks(const Host& host);

} // namespace tapline::doctor
