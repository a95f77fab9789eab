#include "backend/base/log.h"
#include "backend/base/output.h"
#include "backend/interface_options.h"
#include "backend/json.h"
#include "backend/macvtap_device.h"
#include "backend/verbs/verbs.h"

#include <nlohmann/json.hpp>

#include <map>

namespace tapline {
namespace {

// A device and who answers for it.
struct Row {
    MacvtapDevice device;
    const RecordedDevice* record; // Null where there is none.
};

const char* state_text(const RecordedDevice* record) {
    if (record == nullptr) {
        return "unknown";
    }
    switch (record->state) {
    case RecordState::owned:
        return "owned";
    case RecordState::kept:
        return "kept";
    case RecordState::abandoned:
        return "died";
    }
    return "";
}

std::string owner_text(const RecordedDevice* record) {
    return record != nullptr && record->state == RecordState::owned && record->pid != 0
               ? fmt::format("{} ({})", record->program, record->pid)
               : state_text(record);
}

nlohmann::ordered_json owner_json(const RecordedDevice* record) {
    nlohmann::ordered_json owner = {{"state", state_text(record)}};
    if (record != nullptr && record->state != RecordState::kept) {
        owner["program"] = record->program;
        owner["pid"] = record->pid;
    }
    return owner;
}

std::string as_json(const std::vector<Row>& rows) {
    auto array = nlohmann::ordered_json::array();
    for (const Row& row : rows) {
        array.push_back(to_json(row.device));
        array.back()["owner"] = owner_json(row.record);
    }
    return to_line(array) + '\n';
}

std::string as_table(const std::vector<Row>& rows) {
    constexpr auto columns = "{:<15} {:<15} {:<8} {:<17} {:>5} {:>6} {:<5} {}\n";
    std::string text;
    if (!rows.empty()) {
        text = fmt::format(columns, "DEVICE", "PARENT", "MODE", "MAC", "MTU", "QUEUE", "STATE",
                           "OWNER");
    }
    for (const auto& [device, record] : rows) {
        text += fmt::format(columns, device.name, device.parent, to_text(device.mode),
                            device.mac.text(), device.mtu, device.queue_length,
                            device.up ? "up" : "down", owner_text(record));
    }
    return text;
}

// Of an owner that lives only it can tell, and may be writing just now.
void tell_damage(const DeviceRecords& records) {
    for (const std::string& path : records.strays) {
        log(LogLevel::warning, "{}: it is no record of a device (remove it)", path);
    }
    for (const RecordedDevice& record : records.found) {
        if (record.damaged && record.state != RecordState::owned) {
            log(LogLevel::warning,
                "device record {:08x}: it is damaged (`tapline reconcile` mends or removes it)",
                record.id);
        }
    }
}

} // namespace

int list_verb(const Arguments& arguments) {
    bool json = false;
    CommandLine command_line("", "List the devices that tapline created.");
    const NetworkNamespaceOption network_namespace(command_line);
    command_line.flag("json", "Print them as a JSON array", json);
    command_line.parse_options(arguments);
    network_namespace.enter();
    Netlink netlink = Netlink::open();
    const DeviceRecords records = read_device_records();
    std::map<uint32_t, const RecordedDevice*> by_id;
    for (const RecordedDevice& record : records.found) {
        by_id[record.id] = &record;
    }
    std::vector<Row> rows;
    for (MacvtapDevice& device : list_macvtaps(netlink)) {
        if (device.ours()) {
            const auto record = by_id.find(*device.record_id);
            rows.push_back({.device = std::move(device),
                            .record = record == by_id.end() ? nullptr : record->second});
        }
    }
    print_text(json ? as_json(rows) : as_table(rows));
    tell_damage(records);
    return 0;
}

} // namespace tapline
