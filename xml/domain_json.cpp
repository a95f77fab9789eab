#include "xml/domain_json.h"

#include <nlohmann/json.hpp>

namespace tapline::xml {
namespace {

template <typename T> nlohmann::ordered_json or_null(const std::optional<T>& value) {
    return value ? nlohmann::ordered_json(*value) : nullptr;
}

nlohmann::ordered_json or_null(const std::optional<MacAddress>& mac) {
    return mac ? nlohmann::ordered_json(mac->text()) : nullptr;
}

nlohmann::ordered_json device_json(const std::optional<InterfaceText>& text) {
    if (!text) {
        return nullptr;
    }
    const InterfaceSpec spec = InterfaceSpec::parse(*text);
    auto allow = nlohmann::ordered_json::array();
    for (const MacAddress& mac : spec.allowed_macs()) {
        allow.push_back(mac.text());
    }
    return {{"name", or_null(spec.name())},
            {"parent", spec.parent()},
            {"kind", to_text(spec.kind())},
            {"mode", to_text(spec.mode())},
            {"mac", or_null(spec.mac())},
            {"mtu", or_null(spec.mtu())},
            {"queues", spec.queue_pairs()},
            {"queue_length", spec.queue_length()},
            {"multicast", to_text(spec.multicast())},
            {"allowed_macs", allow}};
}

nlohmann::ordered_json to_json(const Interface& interface) {
    return {{"type", to_text(interface.kind)},
            {"line", interface.line},
            {"parent", or_null(interface.parent)},
            {"mode", or_null(interface.mode)},
            {"socket", or_null(interface.socket)},
            {"target", or_null(interface.target)},
            {"mac", or_null(interface.mac)},
            {"model", or_null(interface.model)},
            {"queues", interface.queue_pairs},
            {"mtu", or_null(interface.mtu)},
            {"socket_server", interface.socket_server},
            {"trust_guest_rx_filters", interface.trust_guest_rx_filters},
            {"device", device_json(interface.device)},
            {"pump_options", interface.pump_options}};
}

} // namespace

nlohmann::ordered_json to_json(const Domain& domain) {
    auto interfaces = nlohmann::ordered_json::array();
    for (const Interface& interface : domain.interfaces) {
        interfaces.push_back(to_json(interface));
    }
    const auto uuid = domain.uuid.empty() ? std::nullopt : std::optional(domain.uuid);
    return {{"name", domain.name},           {"uuid", or_null(uuid)},
            {"vcpus", domain.vcpus},         {"shared_memory", domain.shared_memory},
            {"hugepages", domain.hugepages}, {"interfaces", interfaces}};
}

} // namespace tapline::xml
