// Where a running guest takes one more PCI card.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>

namespace tapline::libvirt {

// What helps where there is none.
constexpr auto make_pci_ports =
    "add <controller type='pci' model='pcie-root-port'/> to the domain (with the machine type pc "
    "model='pci-bridge') and start it anew";

// The bus for device_add, by what query-pci returns; absent where QEMU chooses, on the machine type
// pc. libvirt gives its own cards the first free port, so this is the last one. Throws Error where
// there is none.
std::optional<std::string> free_pci_bus(const nlohmann::json& buses);

} // namespace tapline::libvirt
