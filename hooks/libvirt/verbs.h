// The verbs of tapline-libvirt.
#pragma once

#include "backend/verbs/verb.h"

namespace tapline::libvirt {

int agent_verb(const Arguments& arguments);

} // namespace tapline::libvirt
