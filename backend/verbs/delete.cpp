#include "backend/base/command_line.h"
#include "backend/base/error.h"
#include "backend/base/log.h"
#include "backend/macvtap_device.h"
#include "backend/verbs/verbs.h"

namespace tapline {
namespace {

void delete_ours(Netlink& netlink, const std::string& name) {
    const MacvtapDevice device = find_macvtap(netlink, name);
    if (!device.ours) {
        throw Error({.operation = fmt::format("delete macvtap '{}'", name),
                     .cause = "tapline did not create it",
                     .next_step = fmt::format("ip link delete {}", name)});
    }
    delete_macvtap(netlink, device);
}

} // namespace

int delete_verb(const Arguments& arguments) {
    CommandLine command_line("NAME...", "Delete devices that tapline created.");
    const Arguments names = command_line.parse(arguments);
    if (names.empty()) {
        throw UsageError("delete needs the NAME of a device");
    }
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
