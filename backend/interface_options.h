// The options that describe one interface, the same on every command line that makes a device.
#pragma once

#include "backend/base/command_line.h"
#include "backend/interface_spec.h"

namespace tapline {

void add_interface_options(CommandLine& command_line, InterfaceText& text);

} // namespace tapline
