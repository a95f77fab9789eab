#include "hooks/interface_plan.h"

#include "backend/base/error.h"

#include <fmt/format.h>

#include <numeric>
#include <utility>

namespace tapline::hooks {
namespace {

constexpr unsigned reconnect_pause_ms = 100;
constexpr auto plain_characters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

void append(std::vector<std::string>& options, const char* name,
            const std::optional<std::string>& value) {
    if (value) {
        options.push_back(fmt::format("--{}={}", name, *value));
    }
}

std::string describe(const InterfaceText& text, const std::vector<std::string>& pump_options) {
    std::vector<std::string> options;
    append(options, "parent", text.parent);
    append(options, "name", text.name);
    append(options, "mac", text.mac);
    append(options, "mode", text.mode);
    append(options, "kind", text.kind);
    append(options, "layer", text.layer);
    append(options, "mtu", text.mtu);
    append(options, "queues", text.queues);
    append(options, "queue-length", text.queue_length);
    append(options, "broadcast-queue-length", text.broadcast_queue_length);
    append(options, "multicast", text.multicast);
    append(options, "owner", text.owner);
    append(options, "node-mode", text.node_mode);
    for (const std::string& mac : text.allow) {
        append(options, "allow", mac);
    }
    if (text.nopromisc) {
        options.emplace_back("--nopromisc");
    }
    options.emplace_back("pump");
    options.insert(options.end(), pump_options.begin(), pump_options.end());
    return std::accumulate(options.begin(), options.end(), std::string(),
                           [](const std::string& list, const std::string& option) {
                               return list.empty() ? option : list + ' ' + option;
                           });
}

[[noreturn]] void refuse(const xml::Interface& interface, const std::string& cause,
                         const std::string& next_step) {
    throw Error({.operation = fmt::format("serve the interface on line {}", interface.line),
                 .cause = cause,
                 .next_step = next_step});
}

std::vector<std::string> pump_options_of(const xml::Interface& interface,
                                         const InterfaceSpec& spec) {
    if (!interface.socket) {
        refuse(interface, "it names no socket", "write <source type='unix' path='...'/>");
    }
    if (!interface.socket_server) { // The pump would have to listen: QEMU starts without it then.
        refuse(interface, "QEMU does not listen on its socket",
               "write mode='server' in its <source>");
    }
    // systemd takes others for patterns and the like in the name of a unit.
    if (spec.name()->find_first_not_of(plain_characters) != std::string::npos) {
        refuse(interface, fmt::format("no pump can be named after the device '{}'", *spec.name()),
               "use letters, digits, '_', '-' and '.' in <target dev='...'>");
    }
    std::vector<std::string> options = {"--device=" + *spec.name(),
                                        fmt::format("--queues={}", spec.queue_pairs()),
                                        "--socket-path=" + *interface.socket, "--client",
                                        fmt::format("--reconnect={}", reconnect_pause_ms)};
    options.insert(options.end(), interface.pump_options.begin(), interface.pump_options.end());
    return options;
}

} // namespace

InterfacePlan InterfacePlan::of(const xml::Interface& interface) {
    InterfaceSpec spec = InterfaceSpec::parse(*interface.device);
    const bool pumped = interface.kind == xml::InterfaceKind::vhostuser;
    auto options = pumped ? pump_options_of(interface, spec) : std::vector<std::string>();
    std::string description = describe(*interface.device, options);
    return {.spec = std::move(spec),
            .socket = pumped ? interface.socket : std::nullopt,
            .pump_options = std::move(options),
            .description = std::move(description)};
}

std::vector<InterfacePlan> plans_of(const xml::Domain& domain) {
    std::vector<InterfacePlan> plans;
    for (const xml::Interface& interface : domain.interfaces) {
        if (!interface.device) {
            continue;
        }
        plans.push_back(InterfacePlan::of(interface));
        if (plans.back().socket && !domain.shared_memory) {
            refuse(interface, "the pump cannot reach the guest's memory, which is not shared",
                   "add <memoryBacking><source type='memfd'/><access mode='shared'/>"
                   "</memoryBacking> to the domain");
        }
    }
    return plans;
}

} // namespace tapline::hooks
