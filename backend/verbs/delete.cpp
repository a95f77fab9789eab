#include "backend/base/error.h"
#include "backend/base/log.h"
#include "backend/interface_options.h"
#include "backend/macvtap_device.h"
#include "backend/verbs/verbs.h"

namespace tapline {
namespace {

void delete_ours(Netlink& netlink, const std::string& name) {
    const MacvtapDevice device = find_our_macvtap(netlink, name, "delete");
    const auto record = read_device_record(*device.record_id);
    if (record && record->state == RecordState::owned) {
        throw Error({.operation = fmt::format("delete macvtap '{}'", name),
                     .cause = fmt::format("{} (process {}) owns it", record->program, record->pid),
                     .next_step = "end that, and the device goes with it"});
    }
    delete_macvtap(netlink, device);
}

} // namespace

int delete_verb(const Arguments& arguments) {
    CommandLine command_line("NAME...", "Delete devices that tapline created.");
    const NetworkNamespaceOption network_namespace(command_line);
    const Arguments names = command_line.parse(arguments);
    if (names.empty()) {
        throw UsageError("delete needs the NAME of a device");
    }
    network_namespace.enter();
    Netlink netlink = Netlink::open();
    int status = 0;
    for (const std::string& name : names) { // One failure does not keep the others.
        try {
            delete_ours(netlink, name);
        } catch (const Error& error) {
            log(LogLevel::error, "{}", error.what());
            status = 1;
        }
    }
    return status;
}

} // namespace tapline
