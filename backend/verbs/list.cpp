#include "backend/base/command_line.h"
#include "backend/base/output.h"
#include "backend/json.h"
#include "backend/macvtap_device.h"
#include "backend/verbs/verbs.h"

#include <nlohmann/json.hpp>

namespace tapline {
namespace {

std::string as_json(const std::vector<MacvtapDevice>& devices) {
    auto array = nlohmann::ordered_json::array();
    for (const MacvtapDevice& device : devices) {
        array.push_back(to_json(device));
    }
    return to_line(array) + '\n';
}

std::string as_table(const std::vector<MacvtapDevice>& devices) {
    constexpr auto row = "{:<15} {:<15} {:<8} {:<17} {:>5} {:>6} {}\n";
    std::string text;
    if (!devices.empty()) {
        text = fmt::format(row, "DEVICE", "PARENT", "MODE", "MAC", "MTU", "QUEUE", "STATE");
    }
    for (const MacvtapDevice& device : devices) {
        text +=
            fmt::format(row, device.name, device.parent, to_text(device.mode), device.mac.text(),
                        device.mtu, device.queue_length, device.up ? "up" : "down");
    }
    return text;
}

} // namespace

int list_verb(const Arguments& arguments) {
    bool json = false;
    CommandLine command_line("", "List the devices that tapline created.");
    command_line.flag("json", "Print them as a JSON array", json);
    command_line.parse_options(arguments);
    Netlink netlink = Netlink::open();
    std::vector<MacvtapDevice> devices = list_macvtaps(netlink);
    std::erase_if(devices, [](const MacvtapDevice& device) { return !device.ours; });
    print_text(json ? as_json(devices) : as_table(devices));
    return 0;
}

} // namespace tapline
