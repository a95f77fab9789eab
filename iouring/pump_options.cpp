#include "iouring/pump_options.h"

#include "backend/base/command_line.h"
#include "backend/base/error.h"
#include "backend/base/number.h"
#include "backend/interface_options.h"
#include "iouring/policy_options.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <glib.h>

#include <algorithm>
#include <climits>
#include <initializer_list>
#include <optional>

namespace tapline {
namespace {

constexpr uint16_t queue_pairs_max = 128; // Ring numbers of vhost-user have 8 bits.
constexpr uint32_t reconnect_ms_max = 3'600'000;

// Descriptors come marked for exec; one that is not has been taken already.
UniqueFd inherited_fd(const std::string& what, const std::string& text) {
    const int fd = parse_number<int>(what, text, 0, INT_MAX);
    if (fd == STDOUT_FILENO || fd == STDERR_FILENO) {
        throw Error({.operation = fmt::format("use {} {}", what, text),
                     .cause = "status and errors are written there"});
    }
    const int flags = fcntl(fd, F_GETFD);
    if ((flags & FD_CLOEXEC) != 0 && flags >= 0) {
        throw Error({.operation = fmt::format("use {} {}", what, text),
                     .cause = "it is used for something else already"});
    }
    if (flags < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        throw Error::from_errno(fmt::format("use {} {}", what, text),
                                "it must be open in the process that starts this one");
    }
    return UniqueFd(fd);
}

std::vector<UniqueFd> inherited_fds(const std::string& text) {
    std::vector<UniqueFd> fds;
    g_auto(GStrv) numbers = g_strsplit(text.c_str(), ",", -1);
    for (gchar** number = numbers; *number != nullptr; ++number) {
        fds.push_back(inherited_fd("tap descriptor", *number));
    }
    if (fds.empty() || fds.size() > queue_pairs_max) {
        throw Error({.operation = fmt::format("read tap descriptors '{}'", text),
                     .cause = fmt::format("not 1 to {} numbers between commas", queue_pairs_max)});
    }
    return fds;
}

ExpressLaneUse express_lane_use(const std::string& text) {
    if (text == "off") {
        return ExpressLaneUse::off;
    }
    if (text == "auto") {
        return ExpressLaneUse::where_possible;
    }
    if (text == "on") {
        return ExpressLaneUse::required;
    }
    throw Error(
        {.operation = fmt::format("read express lane '{}'", text), .cause = "not off, auto or on"});
}

void exactly_one(std::initializer_list<bool> given, const char* choices) {
    if (std::count(given.begin(), given.end(), true) != 1) {
        throw UsageError(fmt::format("needs exactly one of {}", choices));
    }
}

struct FrontEndText {
    std::optional<std::string> socket_path;
    std::optional<std::string> fd;
    bool client = false;
    std::optional<std::string> reconnect;
};

void add_front_end_options(CommandLine& command_line, FrontEndText& text) {
    command_line.value("socket-path", "PATH", "Listen for the front end there", text.socket_path);
    command_line.flag("client", "Connect to the front end that listens there instead", text.client);
    command_line.value("reconnect", "MS",
                       "While there is no front end, try again each so many milliseconds "
                       "(default: end)",
                       text.reconnect);
    command_line.value("fd", "N", "Use this listening or connected socket instead", text.fd);
}

decltype(PumpOptions::front_end) front_end_of(const FrontEndText& text) {
    exactly_one({text.socket_path.has_value(), text.fd.has_value()}, "--socket-path and --fd");
    if (text.client && !text.socket_path) {
        throw UsageError("--client connects to a path: give --socket-path instead of --fd");
    }
    if (text.reconnect && !text.client) {
        throw UsageError("--reconnect goes with --client only");
    }
    if (text.fd) {
        return inherited_fd("socket descriptor", *text.fd);
    }
    if (!text.client) {
        return PumpOptions::ListenAt{.path = *text.socket_path};
    }
    PumpOptions::ConnectTo front_end{.path = *text.socket_path, .reconnect = {}};
    if (text.reconnect) {
        front_end.reconnect = std::chrono::milliseconds(
            parse_number<uint32_t>("reconnect time", *text.reconnect, 1, reconnect_ms_max));
    }
    return front_end;
}

} // namespace

PumpOptions parse_pump_options(const std::vector<std::string>& arguments) {
    InterfaceText text;
    FrontEndText front_end;
    std::optional<std::string> device;
    std::optional<std::string> tap_fds;
    std::optional<std::string> express_lane;
    bool json_status = false;
    bool print_capabilities = false;

    CommandLine command_line("", "Serve one guest NIC as a vhost-user backend on a macvtap.");
    add_front_end_options(command_line, front_end);
    add_interface_options(command_line, text);
    const NetworkNamespaceOption network_namespace(command_line);
    command_line.value("device", "NAME", "Use this macvtap, and leave it, instead of making one",
                       device);
    command_line.value("tap-fds", "N[,N...]", "Use these opened tap queues, one a queue pair",
                       tap_fds);
    PolicyOptions policy(command_line);
    command_line.value("express-lane", "USE",
                       "Send small frames of the guest in batches: off, auto or on (default: off)",
                       express_lane);
    command_line.flag("json-status", "Tell events and counters on stdout, one JSON object a line",
                      json_status);
    command_line.flag("print-capabilities", "Print what this backend is, as JSON, and exit",
                      print_capabilities);
    command_line.parse_options(arguments);
    PumpOptions options{.network_namespace = network_namespace,
                        .front_end = PumpOptions::ListenAt{},
                        .tap_queues = std::vector<UniqueFd>(),
                        .policy = policy.parse(),
                        .express_lane = express_lane_use(express_lane.value_or("off")),
                        .json_status = json_status,
                        .print_capabilities = print_capabilities};
    if (print_capabilities) {
        return options;
    }
    options.front_end = front_end_of(front_end);
    exactly_one({text.parent.has_value(), device.has_value(), tap_fds.has_value()},
                "--parent, --device and --tap-fds");
    if (!text.parent && text.describes_device()) {
        throw UsageError("what a device shall be can only be said with --parent");
    }
    if (tap_fds && text.queues) {
        throw UsageError("--tap-fds gives the queues: leave out --queues");
    }
    if (tap_fds) {
        options.tap_queues = inherited_fds(*tap_fds);
        return options;
    }
    const std::string queues = text.queues.value_or("1");
    const auto pairs = parse_number<uint16_t>("number of queues", queues, 1, queue_pairs_max);
    if (device) {
        options.tap_queues = PumpOptions::ExistingDevice{.name = *device, .queue_pairs = pairs};
    } else {
        options.tap_queues = InterfaceSpec::parse(text);
    }
    return options;
}

} // namespace tapline
