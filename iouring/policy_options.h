// The options that say what a guest may send and how much may pass.
#pragma once

#include "backend/base/command_line.h"
#include "iouring/pump.h"

#include <optional>
#include <string>
#include <vector>

namespace tapline {

class PolicyOptions {
public:
    explicit PolicyOptions(CommandLine& command_line); // Stays where it is until parse().
    PolicyOptions(const PolicyOptions&) = delete;
    PolicyOptions& operator=(const PolicyOptions&) = delete;

    // After the command line's. Throws UsageError and Error.
    Pump::Policy parse() const;
    // The same as arguments for another command line.
    std::vector<std::string> arguments() const;

private:
    std::optional<std::string> guest_to_wire_;
    std::optional<std::string> wire_to_guest_;
    bool port_security_ = false;
    std::vector<std::string> source_macs_;
    std::vector<std::string> source_ips_;
    bool router_advertisements_ = false;
    bool dhcp_server_ = false;
};

} // namespace tapline
