// The front door: `tapline VERB` runs a built-in verb or the program tapline-VERB.
#include "backend/base/error.h"
#include "backend/base/log.h"
#include "backend/base/program.h"
#include "backend/interface_options.h"
#include "backend/json.h"
#include "backend/tap_node.h"

#include "config.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace tapline {
namespace {

using Arguments = std::vector<std::string>;

void flush_output() {
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
        throw Error::from_errno("write to standard output");
    }
}

int create(const Arguments& arguments) {
    InterfaceText text;
    bool json = false;
    CommandLine command_line("", "Create a macvtap device that outlives this command.");
    add_interface_options(command_line, text);
    command_line.flag("json", "Print the device as JSON", json);
    if (const Arguments rest = command_line.parse(arguments); !rest.empty()) {
        throw UsageError(fmt::format("'{}' is no option of create", rest.front()));
    }
    if (!text.parent) {
        throw UsageError("create needs --parent IF");
    }
    const InterfaceSpec spec = InterfaceSpec::parse(text);
    Netlink netlink = Netlink::open();
    OwnedMacvtap owned = OwnedMacvtap::create(netlink, spec);
    if (spec.owner()) {
        set_tap_node_owner(owned.device(), *spec.owner());
    }
    fmt::print("{}\n", json ? to_line(to_json(owned.device())) : owned.device().name);
    flush_output(); // Whoever cannot be told its name shall not have the device.
    owned.keep();
    return 0;
}

int remove(const Arguments& arguments) {
    CommandLine command_line("NAME...", "Delete devices that tapline created.");
    const Arguments names = command_line.parse(arguments);
    if (names.empty()) {
        throw UsageError("delete needs the NAME of a device");
    }
    Netlink netlink = Netlink::open();
    int status = 0;
    for (const std::string& name : names) { // One failure does not keep the others.
        try {
            const MacvtapDevice device = find_macvtap(netlink, name);
            if (!device.ours) {
                throw Error({.operation = fmt::format("delete macvtap '{}'", name),
                             .cause = "tapline did not create it",
                             .next_step = fmt::format("ip link delete {}", name)});
            }
            delete_macvtap(netlink, device);
        } catch (const Error& error) {
            log(LogLevel::error, "{}", error.what());
            status = 1;
        }
    }
    return status;
}

int list(const Arguments& arguments) {
    bool json = false;
    CommandLine command_line("", "List the devices that tapline created.");
    command_line.flag("json", "Print them as a JSON array", json);
    if (const Arguments rest = command_line.parse(arguments); !rest.empty()) {
        throw UsageError(fmt::format("'{}' is no option of list", rest.front()));
    }
    Netlink netlink = Netlink::open();
    std::vector<MacvtapDevice> devices = list_macvtaps(netlink);
    std::erase_if(devices, [](const MacvtapDevice& device) { return !device.ours; });
    if (json) {
        auto array = nlohmann::ordered_json::array();
        for (const MacvtapDevice& device : devices) {
            array.push_back(to_json(device));
        }
        fmt::print("{}\n", to_line(array));
    } else if (!devices.empty()) {
        constexpr auto row = "{:<15} {:<15} {:<8} {:<17} {:>5} {:>6} {}\n";
        fmt::print(row, "DEVICE", "PARENT", "MODE", "MAC", "MTU", "QUEUE", "STATE");
        for (const MacvtapDevice& device : devices) {
            fmt::print(row, device.name, device.parent, to_text(device.mode), device.mac.text(),
                       device.mtu, device.queue_length, device.up ? "up" : "down");
        }
    }
    return 0;
}

struct Verb {
    const char* name;
    const char* help;
    int (*run)(const Arguments&);
};

constexpr Verb verbs[] = {{"create", "create a macvtap device", create},
                          {"delete", "delete devices", remove},
                          {"list", "list devices", list}};

int usage(std::FILE* to, int status) {
    fmt::print(to, "Usage: tapline VERB [OPTION...]\n\n");
    for (const Verb& verb : verbs) {
        fmt::print(to, "  {:<8} {}\n", verb.name, verb.help);
    }
    fmt::print(to, "  {:<8} {}\n\n", "pump", "serve a guest over vhost-user (tapline-pump)");
    fmt::print(to,
               "`tapline --version` tells the version, `tapline VERB --help` a verb's options.\n");
    return status;
}

// As git does: a verb that is not built in is a program of its own, in one known folder.
int execute(const std::string& verb, const Arguments& arguments) {
    const char* folder = std::getenv("TAPLINE_EXEC_PATH");
    const auto program =
        std::filesystem::path(folder != nullptr && *folder != '\0' ? folder : TAPLINE_LIBEXEC) /
        ("tapline-" + verb);
    std::vector<char*> argv;
    Arguments all = arguments;
    all.front() = program;
    std::ranges::transform(all, std::back_inserter(argv), [](std::string& s) { return s.data(); });
    argv.push_back(nullptr);
    execv(program.c_str(), argv.data());
    if (errno == ENOENT) {
        throw UsageError(fmt::format("no verb '{}' (there is no {}): see `tapline --help`", verb,
                                     program.string()));
    }
    throw Error::from_errno(fmt::format("execute {}", program.string()));
}

int run(const Arguments& arguments) {
    if (arguments.size() < 2) {
        return usage(stderr, 2);
    }
    const std::string& verb = arguments[1];
    if (verb == "--help" || verb == "-h" || verb == "help") {
        return usage(stdout, 0);
    }
    if (verb == "--version") {
        fmt::print("tapline {}\n", TAPLINE_VERSION);
        return 0;
    }
    Arguments of_verb(arguments.begin() + 1, arguments.end());
    for (const Verb& known : verbs) {
        if (verb == known.name) {
            of_verb.front() = "tapline " + verb;
            g_set_prgname(of_verb.front().c_str());
            return known.run(of_verb);
        }
    }
    if (verb.find('/') != std::string::npos || verb.starts_with('-')) {
        throw UsageError(fmt::format("no verb '{}': see `tapline --help`", verb));
    }
    return execute(verb, of_verb);
}

} // namespace
} // namespace tapline

int main(int argc, char** argv) {
    return tapline::run_program("tapline", [&] {
        const int status = tapline::run({argv, argv + argc});
        tapline::flush_output();
        return status;
    });
}
