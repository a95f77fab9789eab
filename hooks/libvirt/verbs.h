// The verbs of tapline-libvirt.
#pragma once

#include "backend/base/command_line.h"
#include "backend/verbs/verb.h"

#include <optional>
#include <string>

namespace tapline::libvirt {

int agent_verb(const Arguments& arguments);
int attach_verb(const Arguments& arguments);
int detach_verb(const Arguments& arguments);
int list_verb(const Arguments& arguments);

// --connect, which all of them take.
void add_connect_option(CommandLine& command_line, std::optional<std::string>& uri);

} // namespace tapline::libvirt
