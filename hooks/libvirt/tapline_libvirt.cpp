// The program behind `tapline libvirt`: what calls libvirt, and so can be no hook of it.
#include "backend/base/program.h"
#include "hooks/libvirt/verbs.h"

namespace tapline::libvirt {
namespace {

constexpr Verb verbs[] = {
    {"attach", "give a domain one more network card", attach_verb},
    {"detach", "take one away again", detach_verb},
    {"list", "list the network cards of running guests", list_verb},
    {"agent", "keep devices as their guests want them, where they may", agent_verb}};

int run(Arguments arguments) {
    arguments.front() = "tapline-libvirt";
    if (tell_version("tapline-libvirt", arguments)) {
        return 0;
    }
    return run_one_of(verbs, arguments);
}

} // namespace

void add_connect_option(CommandLine& command_line, std::optional<std::string>& uri) {
    command_line.value("connect", "URI", "Which libvirt (default: libvirt's)", uri);
}

} // namespace tapline::libvirt

int main(int argc, char** argv) {
    return tapline::run_program("tapline-libvirt", [&] {
        return tapline::libvirt::run({argv, argv + argc});
    });
}
