// What one interface of a domain needs on the host, checked as far as its text tells.
#pragma once

#include "backend/interface_spec.h"
#include "xml/domain.h"

#include <optional>
#include <string>
#include <vector>

namespace tapline::hooks {

struct InterfacePlan {
    InterfaceSpec spec; // With a name.
    // Where QEMU listens for the pump; absent for a device that libvirt opens.
    std::optional<std::string> socket;
    std::vector<std::string> pump_options; // All of them; none without a pump.
    std::string description;               // The same for the same plan, and for no other.

    // Of an interface that is ours. Throws Error for what no host can give.
    static InterfacePlan of(const xml::Interface& interface);
};

// Of all interfaces of the domain that are ours. Throws Error.
std::vector<InterfacePlan> plans_of(const xml::Domain& domain);

} // namespace tapline::hooks
