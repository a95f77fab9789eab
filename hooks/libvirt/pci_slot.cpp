#include "hooks/libvirt/pci_slot.h"

#include "backend/base/error.h"

#include <nlohmann/json.hpp>

namespace tapline::libvirt {
namespace {

using nlohmann::json;

constexpr auto operation = "find a place for a card in the guest";
constexpr int pci_bridge_class = 0x0604;

// The host bridge of the machine type pc, whose own bus takes cards. All others are PCIe, and only
// ports take more.
constexpr int pc_host_bridge = 0x1237;

bool is_free_port(const json& device) {
    return device.at("class_info").at("class") == pci_bridge_class &&
           !device.at("qdev_id").get<std::string>().empty() &&
           device.at("pci_bridge").value("devices", json::array()).empty();
}

} // namespace

std::optional<std::string> free_pci_bus(const json& buses) {
    try {
        const json& devices = buses.at(0).at("devices");
        if (devices.at(0).at("id").at("device") == pc_host_bridge) {
            return std::nullopt;
        }
        std::optional<std::string> last;
        for (const json& device : devices) {
            if (is_free_port(device)) {
                last = device.at("qdev_id").get<std::string>();
            }
        }
        if (!last) {
            throw Error({.operation = operation,
                         .cause = "it has no free PCIe port",
                         .next_step = make_pci_ports});
        }
        return last;
    } catch (const json::exception& error) {
        throw Error({.operation = operation, .cause = error.what()});
    }
}

} // namespace tapline::libvirt
