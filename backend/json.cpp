#include "backend/json.h"

#include <nlohmann/json.hpp>

namespace tapline {

nlohmann::ordered_json to_json(const MacvtapDevice& device) {
    return {{"device", device.name},
            {"index", device.index},
            {"parent", device.parent},
            {"mode", to_text(device.mode)},
            {"mac", device.mac.text()},
            {"mtu", device.mtu},
            {"queue_length", device.queue_length},
            {"up", device.up}};
}

nlohmann::ordered_json to_json(const HostLink& link) {
    return {{"device", link.name},
            {"parent", link.parent},
            {"mac", link.mac.text()},
            {"complete", link.complete},
            {"addresses", link.addresses},
            {"routes", link.routes},
            {"moved_addresses", link.moved_addresses}};
}

std::string to_line(const nlohmann::ordered_json& json) {
    return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

} // namespace tapline
