#include "backend/json.h"

#include <nlohmann/json.hpp>

namespace tapline {

nlohmann::ordered_json to_json(const MacvtapDevice& device) {
    nlohmann::ordered_json json = {{"device", device.name},
                                   {"index", device.index},
                                   {"kind", to_text(device.kind)},
                                   {"parent", device.parent},
                                   {"mode", to_text(device.mode)}};
    switch (device.kind) {
    case DeviceKind::macvtap:
        json["broadcast_queue_length"] = device.broadcast_queue_length;
        break;
    case DeviceKind::ipvtap:
        json["layer"] = to_text(device.layer);
        break;
    }
    if (device.mode == MacvlanMode::passthru) {
        json["promiscuous"] = device.promiscuity == Promiscuity::promiscuous;
    }
    if (device.mode == MacvlanMode::source) {
        json["allowed_macs"] = nlohmann::ordered_json::array();
        for (const MacAddress& mac : device.allowed_macs) {
            json["allowed_macs"].push_back(mac.text());
        }
    }
    json["mac"] = device.mac.text();
    json["mtu"] = device.mtu;
    json["queue_length"] = device.queue_length;
    json["up"] = device.up;
    return json;
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
