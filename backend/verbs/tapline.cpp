// The front door: `tapline VERB` runs a built-in verb or the program tapline-VERB.
#include "backend/base/error.h"
#include "backend/base/output.h"
#include "backend/base/program.h"
#include "backend/verbs/verb_program.h"
#include "backend/verbs/verbs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <string>

namespace tapline {
namespace {

constexpr Verb verbs[] = {
    {"create", "create a macvtap device", create_verb},
    {"delete", "delete devices", delete_verb},
    {"list", "list devices", list_verb},
    {"allow", "change whose frames a device in mode source takes", allow_verb},
    {"exec", "run a command with the queues of a device", exec_verb},
    {"host-link", "let the host reach its guests", host_link_verb},
    {"doctor", "tell what works on this host", doctor_verb},
    {"reconcile", "remove what killed processes left", reconcile_verb}};

std::string usage() {
    return "Usage: tapline VERB [OPTION...]\n\n" + help_of(verbs) +
           fmt::format("  {:<10} {}\n", "pump", "serve a guest over vhost-user (tapline-pump)") +
           fmt::format("  {:<10} {}\n", "bench", "measure Tapline here (tapline-bench)") +
           fmt::format("  {:<10} {}\n", "xml", "read libvirt's domain XML (tapline-xml)") +
           fmt::format("  {:<10} {}\n", "hook", "what libvirt calls (tapline-hook)") +
           fmt::format("  {:<10} {}\n", "libvirt", "serve libvirt's guests (tapline-libvirt)") +
           "\n`tapline --version` tells the version, `tapline VERB --help` a verb's options.\n";
}

// As git does: a verb that is not built in is a program of its own, in a known folder.
int execute(const std::string& verb, const Arguments& arguments) {
    const auto program = verb_program(verb);
    std::vector<char*> argv;
    Arguments all(arguments.begin() + 1, arguments.end());
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

int run(Arguments arguments) {
    if (arguments.size() < 2) {
        throw UsageError("no verb was given: see `tapline --help`");
    }
    arguments.front() = "tapline";
    const std::string& verb = arguments[1];
    if (verb == "--help" || verb == "-h" || verb == "help") {
        if (arguments.size() > 2) {
            throw UsageError(
                fmt::format("{} stands alone: leave out '{}', or see `tapline VERB --help`", verb,
                            arguments[2]));
        }
        print_text(usage());
        return 0;
    }
    if (tell_version("tapline", arguments)) {
        return 0;
    }
    if (const Verb* known = find_verb(verbs, verb)) {
        return run_verb(*known, arguments);
    }
    if (verb.find('/') != std::string::npos || verb.starts_with('-')) {
        throw UsageError(fmt::format("no verb '{}': see `tapline --help`", verb));
    }
    return execute(verb, arguments);
}

} // namespace
} // namespace tapline

int main(int argc, char** argv) {
    return tapline::run_program("tapline", [&] { return tapline::run({argv, argv + argc}); });
}
