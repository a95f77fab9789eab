#include "backend/base/error.h"
#include "backend/base/log.h"
#include "backend/base/output.h"
#include "backend/json.h"
#include "hooks/libvirt/card.h"
#include "hooks/libvirt/connection.h"
#include "hooks/libvirt/verbs.h"
#include "hooks/pump_service.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

namespace tapline::libvirt {
namespace {

using nlohmann::ordered_json;

struct Row {
    std::string domain;
    Card card;
    std::optional<MacvtapDevice> device; // Absent: there is none of that name.
    std::optional<pid_t> pump;
    bool unknown = false; // What is asked of the pump has failed.
};

const char* state_of(const Row& row) {
    if (!row.device) {
        return "no device";
    }
    if (row.unknown) {
        return "unknown";
    }
    if (row.card.way == Way::pump && !row.pump) {
        return "no pump";
    }
    return row.device->up ? "up" : "down";
}

// A failure is of this row, and shall not hide the others.
void find_pump(Row& row) {
    try {
        row.pump = hooks::PumpService(row.card.device).pid();
    } catch (const Error& error) {
        log(LogLevel::error, "{}", error.what());
        row.unknown = true;
    }
}

std::vector<Row> rows_of(const Domain& domain, const std::vector<MacvtapDevice>& devices) {
    std::vector<Row> rows;
    for (const Card& card : running_cards(domain, MulticastPolicy::joined)) {
        const auto device = std::ranges::find(devices, card.device, &MacvtapDevice::name);
        rows.push_back({.domain = domain.name(),
                        .card = card,
                        .device = device == devices.end() ? std::nullopt : std::optional(*device)});
        if (card.way == Way::pump) {
            find_pump(rows.back());
        }
    }
    return rows;
}

ordered_json to_json(const Row& row) {
    ordered_json json = {{"domain", row.domain},
                         {"mac", row.card.mac.text()},
                         {"way", to_text(row.card.way)},
                         {"device", row.card.device},
                         {"parent", nullptr},
                         {"mode", nullptr},
                         {"queues", row.card.queue_pairs},
                         {"pump_pid", nullptr},
                         {"state", state_of(row)}};
    if (row.device) {
        json["parent"] = row.device->parent;
        json["mode"] = to_text(row.device->mode);
    }
    if (row.pump) {
        json["pump_pid"] = *row.pump;
    }
    return json;
}

std::string as_json(const std::vector<Row>& rows) {
    ordered_json list = ordered_json::array();
    for (const Row& row : rows) {
        list.push_back(to_json(row));
    }
    return to_line(list) + '\n';
}

std::string as_text(const std::vector<Row>& rows) {
    constexpr auto line = "{:<20} {:<17} {:<7} {:<15} {:<15} {:<8} {:>6} {:>8} {}\n";
    std::string text = fmt::format(line, "DOMAIN", "MAC", "WAY", "DEVICE", "PARENT", "MODE",
                                   "QUEUES", "PUMP", "STATE");
    for (const Row& row : rows) {
        text += fmt::format(line, row.domain, row.card.mac.text(), to_text(row.card.way),
                            row.card.device, row.device ? row.device->parent : "-",
                            row.device ? to_text(row.device->mode) : "-", row.card.queue_pairs,
                            row.pump ? fmt::to_string(*row.pump) : "-", state_of(row));
    }
    return text;
}

// All, or the one that was named, if it runs.
std::vector<Domain> running(const Connection& connection, const Arguments& names) {
    if (names.empty()) {
        return connection.running();
    }
    std::vector<Domain> domains;
    domains.push_back(connection.find(names[0]));
    std::erase_if(domains, [](const Domain& domain) { return !domain.is_active(); });
    return domains;
}

} // namespace

int list_verb(const Arguments& arguments) {
    std::optional<std::string> uri;
    bool json = false;
    CommandLine command_line("[DOMAIN]", "List the network cards of running guests that are on "
                                         "macvtap devices.");
    command_line.flag("json", "Print them as a JSON array", json);
    add_connect_option(command_line, uri);
    const Arguments names = command_line.parse(arguments);
    if (names.size() > 1) {
        throw UsageError("list takes one DOMAIN, or none for all");
    }
    const Connection connection = Connection::open(uri);
    Netlink netlink = Netlink::open();
    const std::vector<MacvtapDevice> devices = list_macvtaps(netlink);
    std::vector<Row> rows;
    int status = 0;
    for (const Domain& domain : running(connection, names)) {
        try {
            std::ranges::move(rows_of(domain, devices), std::back_inserter(rows));
        } catch (const Error& error) { // Of one domain, which shall not hide the others.
            log(LogLevel::error, "{}", error.what());
            status = 1;
        }
    }
    print_text(json ? as_json(rows) : as_text(rows));
    return std::ranges::any_of(rows, &Row::unknown) ? 1 : status;
}

} // namespace tapline::libvirt
