#include "xml/domain_json.h"

#include <nlohmann/json.hpp>

namespace tapline::xml {
namespace {

template <typename T> nlohmann::ordered_json or_null(const std::optional<T>& value) {
    return value ? nlohmann::ordered_json(*value) : nullptr;
}

nlohmann::ordered_json to_json(const Interface& interface) {
    nlohmann::ordered_json mac;
    if (interface.mac) {
        mac = interface.mac->text();
    }
    return {{"type", to_text(interface.kind)},
            {"line", interface.line},
            {"parent", or_null(interface.parent)},
            {"mode", or_null(interface.mode)},
            {"socket", or_null(interface.socket)},
            {"target", or_null(interface.target)},
            {"mac", mac},
            {"model", or_null(interface.model)},
            {"queues", interface.queue_pairs},
            {"mtu", or_null(interface.mtu)}};
}

} // namespace

nlohmann::ordered_json to_json(const Domain& domain) {
    auto interfaces = nlohmann::ordered_json::array();
    for (const Interface& interface : domain.interfaces) {
        interfaces.push_back(to_json(interface));
    }
    return {{"name", domain.name},
            {"vcpus", domain.vcpus},
            {"shared_memory", domain.shared_memory},
            {"hugepages", domain.hugepages},
            {"interfaces", interfaces}};
}

} // namespace tapline::xml
