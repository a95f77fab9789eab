#include "backend/base/error.h"
#include "backend/base/output.h"
#include "backend/interface_options.h"
#include "backend/json.h"
#include "backend/reconcile.h"
#include "backend/tap_node.h"
#include "backend/verbs/verbs.h"

#include <nlohmann/json.hpp>

#include <csignal>

namespace tapline {
namespace {

// A signal that would end the command between making the device and knowing it waits instead.
class SignalsHeldBack {
public:
    SignalsHeldBack() {
        sigemptyset(&signals_);
        for (const int number : {SIGHUP, SIGINT, SIGTERM}) {
            sigaddset(&signals_, number);
        }
        sigprocmask(SIG_BLOCK, &signals_, &before_);
    }
    SignalsHeldBack(const SignalsHeldBack&) = delete;
    SignalsHeldBack& operator=(const SignalsHeldBack&) = delete;
    ~SignalsHeldBack() { sigprocmask(SIG_SETMASK, &before_, nullptr); }

    bool any() const {
        sigset_t waiting{};
        sigset_t common{};
        return sigpending(&waiting) == 0 && sigandset(&common, &waiting, &signals_) == 0 &&
               sigisemptyset(&common) == 0;
    }

private:
    sigset_t signals_{};
    sigset_t before_{};
};

} // namespace

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
