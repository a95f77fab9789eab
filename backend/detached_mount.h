// A fresh instance of a kernel file system that is mounted nowhere and goes with its descriptor.
#pragma once

#include "backend/base/unique_fd.h"

namespace tapline {

// The root folder of the instance, "sysfs" for example. Empty where the process may not
// (CAP_SYS_ADMIN) or the kernel cannot.
UniqueFd mount_detached(const char* filesystem);

} // namespace tapline
