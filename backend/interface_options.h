// The options that describe one interface, the same on every command line that makes a device.
#pragma once

#include "backend/base/command_line.h"
#include "backend/base/unique_fd.h"
#include "backend/interface_spec.h"

#include <optional>
#include <string>

namespace tapline {

void add_interface_options(CommandLine& command_line, InterfaceText& text);

// --netns, of every command that works on devices.
class NetworkNamespaceOption {
public:
    explicit NetworkNamespaceOption(CommandLine& command_line);

    // Before anything is looked at and any thread is started. Returns the namespace that was left;
    // does and returns nothing where none was named.
    UniqueFd enter() const;

private:
    std::optional<std::string> text_;
};

} // namespace tapline
