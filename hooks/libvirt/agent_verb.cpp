#include "backend/base/command_line.h"
#include "backend/base/error.h"
#include "backend/base/main_loop.h"
#include "hooks/libvirt/agent.h"
#include "hooks/libvirt/verbs.h"

#include <fmt/format.h>

#include <csignal>
#include <optional>
#include <string>

namespace tapline::libvirt {
namespace {

MulticastPolicy parse_direct(const std::string& text) {
    for (const MulticastPolicy policy : {MulticastPolicy::joined, MulticastPolicy::none}) {
        if (text == to_text(policy)) {
            return policy;
        }
    }
    throw UsageError(fmt::format("--direct-multicast is joined or none, not '{}'", text));
}

} // namespace

int agent_verb(const Arguments& arguments) {
    std::optional<std::string> uri;
    std::optional<std::string> direct;
    CommandLine command_line("", "Keep devices as their guests want them, where the owner allows "
                                 "it, and remove what dead guests left. Runs until SIGTERM.");
    add_connect_option(command_line, uri);
    command_line.value("direct-multicast", "POLICY",
                       "Groups of guests on devices that libvirt makes: joined or none "
                       "(default: joined)",
                       direct);
    command_line.parse_options(arguments);
    const MulticastPolicy policy = parse_direct(direct.value_or("joined"));
    use_main_loop();
    MainLoop loop;
    const auto on_term = loop.on_signal(SIGTERM, [&] { loop.quit(); });
    const auto on_int = loop.on_signal(SIGINT, [&] { loop.quit(); });
    const Agent agent(loop, {.uri = uri, .direct = policy});
    loop.run();
    return 0;
}

} // namespace tapline::libvirt
