// The user that libvirt runs QEMU as.
#pragma once

#include "backend/interface_spec.h"

namespace tapline::hooks {

// As libvirt's qemu.conf says, else the one that distributions have for it, else root.
Owner find_qemu_user();

} // namespace tapline::hooks
