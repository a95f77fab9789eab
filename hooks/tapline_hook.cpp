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

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <exception>
#include <limits>
#include <string_view>

namespace tapline::hooks {
namespace {

constexpr size_t hook_arguments = 5; // With the program's name.
constexpr auto no_uuid = "it has no <uuid>, by which what is made for it is recorded";
constexpr auto next_step = "give the output of `virsh dumpxml NAME`";

// More than a domain of ours may have: that of others is looked through, too.
constexpr size_t input_bytes_max = 16 * xml::document_bytes_max;

std::string reading(const std::string& domain) {
    return fmt::format("read the XML of domain '{}' from standard input", domain);
}

[[noreturn]] void refuse(const std::string& domain, const std::string& cause) {
    throw Error({.operation = reading(domain), .cause = cause, .next_step = next_step});
}

std::string read_input(const std::string& domain) {
    std::string text;
    std::array<char, 65536> some{};
    ssize_t bytes = 0;
    while ((bytes = read(STDIN_FILENO, some.data(), some.size())) > 0) {
        text.append(some.data(), static_cast<size_t>(bytes));
        if (text.size() > input_bytes_max) {
            refuse(domain, fmt::format("it is longer than {} bytes", input_bytes_max));
        }
    }
    if (bytes < 0) {
        throw Error::from_errno(reading(domain), next_step);
    }
    if (text.find("<domain") == std::string::npos) {
        refuse(domain, text.empty() ? "it is empty" : "it holds no <domain>");
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
    xml::Domain domain = xml::Domain::parse(text, "from libvirt");
    if (domain.uuid.empty() && mentions_tapline(text)) {
        refuse(domain.name, no_uuid);
    }
    return domain;
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

void release_domain(const std::string& domain, const std::string& text) {
    const std::string uuid = uuid_in(text);
    if (!uuid.empty()) {
        release(uuid);
    } else if (mentions_tapline(text)) {
        refuse(domain, no_uuid);
    }
}

void serve_domain(const std::string& domain, const std::string& operation) {
    const std::string text = read_input(domain);
    const bool concerned = mentions_tapline(text) || mentions_direct(text);
    if (operation == "prepare" && concerned) {
        prepare(parse(text));
    } else if ((operation == "migrate" || operation == "restore") && concerned) {
        print_for_this_host(text);
    } else if ((operation == "reconnect" || operation == "attach") && mentions_tapline(text)) {
        reconnect(parse(text));
    } else if (operation == "release") {
        release_domain(domain, text);
    }
}

int serve(const std::string& domain, const std::string& operation) {
    constexpr std::array<std::string_view, 4> refusable{"prepare", "migrate", "restore", "release"};
    try {
        serve_domain(domain, operation);
    } catch (const std::exception& error) {
        if (std::ranges::find(refusable, operation) != refusable.end()) {
            throw;
        }
        log(LogLevel::warning, "{}", error.what()); // libvirt would end a domain that is well.
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
    const bool is_program = found && access(found->path.c_str(), X_OK) == 0;
    if (found && !is_program && !json) { // libvirt passes over it.
        throw Error({.operation = fmt::format("look at {}", found->path.string()),
                     .cause = "it leads to no program",
                     .next_step = "tapline hook install"});
    }
    const bool must_restart = found && found->libvirtd_must_restart;
    if (json) {
        nlohmann::ordered_json facts = {
            {"path", nullptr}, {"is_program", is_program}, {"restart_libvirtd", must_restart}};
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
    return is_program && !must_restart ? 0 : 1;
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
        return serve(arguments[1], arguments[2]);
    }
    if (tell_version("tapline-hook", arguments)) {
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
