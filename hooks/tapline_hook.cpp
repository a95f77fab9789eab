// The program behind `tapline hook`, and the one that libvirt calls at each step in the life of a
// domain: tapline-hook NAME OPERATION SUBOPERATION EXTRA, with the domain's XML on standard input.
#include "backend/base/command_line.h"
#include "backend/base/error.h"
#include "backend/base/log.h"
#include "backend/base/number.h"
#include "backend/base/output.h"
#include "backend/base/program.h"
#include "backend/json.h"
#include "backend/verbs/verb.h"
#include "hooks/installation.h"
#include "hooks/kept_pump.h"
#include "hooks/lifecycle.h"
#include "hooks/migration.h"
#include "hooks/settings.h"
#include "xml/document.h"
#include "xml/metadata.h"

#include "config.h"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <array>
#include <exception>
#include <limits>
#include <string_view>

namespace tapline::hooks {
namespace {

constexpr size_t hook_arguments = 5; // With the program's name.

// Stops when there is too much.
std::string read_input() {
    std::string text;
    std::array<char, 65536> some{};
    ssize_t bytes = 0;
    while (text.size() <= xml::document_bytes_max &&
           (bytes = read(STDIN_FILENO, some.data(), some.size())) > 0) {
        text.append(some.data(), static_cast<size_t>(bytes));
    }
    return text;
}

// Without parsing it: most domains are none of our business.
bool mentions_tapline(std::string_view text) {
    return text.find(xml::metadata_namespace) != std::string_view::npos;
}

bool mentions_direct(std::string_view text) {
    return text.find("type='direct'") != std::string_view::npos ||
           text.find("type=\"direct\"") != std::string_view::npos;
}

xml::Domain parse(const std::string& text) {
    return xml::Domain::parse(text, "from libvirt");
}

// libvirt writes it near the beginning. The rest may be damaged: what was made shall go anyhow.
std::string uuid_in(const std::string& text) {
    constexpr std::string_view tag = "<uuid>";
    const auto begin = text.find(tag);
    const auto end = text.find('<', begin + tag.size());
    return begin == std::string::npos || end == std::string::npos
               ? ""
               : text.substr(begin + tag.size(), end - begin - tag.size());
}

// libvirt takes what is printed for the domain, and the domain as it was where nothing is.
void print_for_this_host(const std::string& text) {
    const Settings settings = Settings::read();
    if (!settings.parents.empty()) {
        print_text(rename_parents(text, settings.parents));
    }
}

int serve(const std::string& operation) {
    const std::string text = read_input();
    const bool concerned = mentions_tapline(text) || mentions_direct(text);
    if (operation == "prepare" && concerned) {
        prepare(parse(text));
    } else if ((operation == "migrate" || operation == "restore") && concerned) {
        print_for_this_host(text);
    } else if ((operation == "reconnect" || operation == "attach") && mentions_tapline(text)) {
        try {
            reconnect(parse(text));
        } catch (const std::exception& error) { // libvirt would end a domain that is well.
            log(LogLevel::warning, "{}", error.what());
        }
    } else if (operation == "release") {
        if (const std::string uuid = uuid_in(text); !uuid.empty()) {
            release(uuid);
        }
    }
    return 0;
}

void print_restart(const Installation& installation) {
    if (installation.libvirtd_must_restart) {
        print("Restart libvirtd: it found no hook for QEMU when it started, and calls none.\n");
    }
}

int install_verb(const Arguments& arguments) {
    CommandLine command_line("", "Let libvirt call the hook.");
    command_line.parse_options(arguments);
    const Installation installation = install_hook();
    print("{}: {}\n", installation.path.string(),
          installation.made_now ? "installed" : "was installed");
    print_restart(installation);
    return 0;
}

int uninstall_verb(const Arguments& arguments) {
    CommandLine command_line("", "Let libvirt call the hook no more.");
    command_line.parse_options(arguments);
    const auto path = uninstall_hook();
    print("{}\n", path ? path->string() + ": removed" : "not installed");
    return 0;
}

int status_verb(const Arguments& arguments) {
    bool json = false;
    CommandLine command_line("", "Tell whether libvirt calls the hook. Exit code 1: it does not.");
    command_line.flag("json", "Print a JSON object", json);
    command_line.parse_options(arguments);
    const auto found = find_hook();
    const bool must_restart = found && found->libvirtd_must_restart;
    if (json) {
        nlohmann::ordered_json facts = {{"path", nullptr}, {"restart_libvirtd", must_restart}};
        if (found) {
            facts["path"] = found->path.string();
        }
        print("{}\n", to_line(facts));
    } else {
        print("{}\n", found ? found->path.string() + ": installed" : "not installed");
        if (found) {
            print_restart(*found);
        }
    }
    return found && !must_restart ? 0 : 1;
}

// Not for people: what start_kept_pump() executes.
int keep_pump_verb(const Arguments& arguments) {
    if (arguments.size() != 3) {
        throw UsageError("keep-pump needs a device and a descriptor");
    }
    return keep_pump(arguments[1], parse_number<int>("descriptor", arguments[2], 0,
                                                     std::numeric_limits<int>::max()));
}

constexpr Verb verbs[] = {{"install", "let libvirt call the hook", install_verb},
                          {"uninstall", "let libvirt call it no more", uninstall_verb},
                          {"status", "tell whether libvirt calls it", status_verb}};
constexpr Verb keep_pump_verbs[] = {{"keep-pump", "", keep_pump_verb}};

int run(Arguments arguments) {
    arguments.front() = "tapline-hook";
    if (arguments.size() == hook_arguments) {
        return serve(arguments[2]);
    }
    if (arguments.size() == 2 && arguments[1] == "--version") {
        print("tapline-hook {}\n", TAPLINE_VERSION);
        return 0;
    }
    const bool keeper = arguments.size() > 1 && arguments[1] == "keep-pump";
    return keeper ? run_one_of(keep_pump_verbs, arguments) : run_one_of(verbs, arguments);
}

} // namespace
} // namespace tapline::hooks

int main(int argc, char** argv) {
    return tapline::run_program("tapline-hook", [&] {
        return tapline::hooks::run({argv, argv + argc});
    });
}
