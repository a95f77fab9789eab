#include "backend/privileges.h"

#include "backend/base/error.h"

#include "config.h"

#include <cap-ng.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <exception>

namespace tapline {
namespace {

// To make links; to open /dev/tapN, which is root's, and to record them. Not CAP_MKNOD: a user who
// kills the program between making a node and removing it would own the node.
constexpr std::array<unsigned, 2> needed = {CAP_NET_ADMIN, CAP_DAC_OVERRIDE};

bool is_permitted(unsigned capability) {
    return capng_have_capability(CAPNG_PERMITTED, capability) != 0;
}

bool is_in_effect() {
    capng_get_caps_process();
    return capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN) != 0;
}

// In libcap-ng's memory only; capng_apply() and capng_change_id() tell the kernel.
void select(capng_type_t sets) {
    std::array<bool, needed.size()> permitted{};
    if (capng_get_caps_process() < 0) {
        throw Error::from_errno("read the capabilities of the process");
    }
    std::ranges::transform(needed, permitted.begin(), is_permitted);
    capng_clear(CAPNG_SELECT_CAPS);
    for (size_t i = 0; i < needed.size(); ++i) {
        if (permitted[i]) {
            capng_update(CAPNG_ADD, sets, needed[i]);
        }
    }
}

void select(Capabilities capabilities) {
    select(capabilities == Capabilities::in_effect
               ? static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED)
               : CAPNG_PERMITTED);
}

void apply() {
    if (capng_apply(CAPNG_SELECT_CAPS) < 0) {
        throw Error::from_errno("set the capabilities of the process");
    }
}

} // namespace

void drop_privileges() {
    select(Capabilities::without_effect);
    if (geteuid() != getuid() || getegid() != getgid()) {
        if (capng_change_id(static_cast<int>(getuid()), static_cast<int>(getgid()), CAPNG_NO_FLAG) <
            0) {
            throw Error::from_errno("become the user who runs the program");
        }
    } else {
        apply();
    }
    // Not dumpable: the user may neither trace the process nor read its memory.
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        throw Error::from_errno("give up new privileges");
    }
}

CapabilityScope::CapabilityScope(Capabilities capabilities)
    : before_(is_in_effect() ? Capabilities::in_effect : Capabilities::without_effect) {
    select(capabilities);
    if (!std::ranges::all_of(needed, is_permitted)) {
        throw Error({.operation = "make a device for a user",
                     .cause = "the program lacks CAP_NET_ADMIN or CAP_DAC_OVERRIDE",
                     .next_step = "as root: setcap cap_net_admin,cap_dac_override+ep " //
                     TAPLINE_LIBEXEC "/tapline-helper"});
    }
    apply();
}

CapabilityScope::~CapabilityScope() {
    try {
        select(before_);
        apply();
    } catch (...) { // To go on with other rights than the code says is worse than to end.
        std::terminate();
    }
}

} // namespace tapline
