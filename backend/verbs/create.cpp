#include "backend/base/error.h"
#include "backend/base/output.h"
#include "backend/base/signals_held_back.h"
#include "backend/interface_options.h"
#include "backend/json.h"
#include "backend/reconcile.h"
#include "backend/tap_node.h"
#include "backend/verbs/verbs.h"

#include <nlohmann/json.hpp>

namespace tapline {

int create_verb(const Arguments& arguments) {
    InterfaceText text;
    bool json = false;
    CommandLine command_line("", "Create a macvtap device that outlives this command.");
    add_interface_options(command_line, text);
    const NetworkNamespaceOption network_namespace(command_line);
    command_line.flag("json", "Print the device as JSON", json);
    command_line.parse_options(arguments);
    if (!text.parent) {
        throw UsageError("create needs --parent IF");
    }
    const InterfaceSpec spec = InterfaceSpec::parse(text);
    network_namespace.enter();
    const SignalsHeldBack held_back; // Delivered when the device is in order, or gone.
    Netlink netlink = Netlink::open();
    OwnedMacvtap owned = create_over_leftovers(netlink, spec);
    grant_node(owned.device(), spec);
    if (held_back.any()) {
        throw Error({.operation = fmt::format("create '{}'", owned.device().name),
                     .cause = "a signal came meanwhile"});
    }
    // Whoever cannot be told its name shall not have the device.
    print("{}\n", json ? to_line(to_json(owned.device())) : owned.device().name);
    owned.keep();
    return 0;
}

} // namespace tapline
