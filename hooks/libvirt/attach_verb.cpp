#include "backend/base/error.h"
#include "backend/base/output.h"
#include "backend/interface_options.h"
#include "backend/json.h"
#include "hooks/libvirt/attach.h"
#include "hooks/libvirt/verbs.h"
#include "iouring/policy_options.h"
#include "xml/names.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tapline::libvirt {
namespace {

Way parse_way(const std::string& text) {
    for (const Way way : {Way::handoff, Way::pump, Way::fds}) {
        if (text == to_text(way)) {
            return way;
        }
    }
    throw UsageError(fmt::format("--to is handoff, pump or fds, not '{}'", text));
}

void check(const NewCard& card, bool config) {
    if (!card.text.parent) {
        throw UsageError("attach needs --parent IF");
    }
    if (card.text.name && xml::is_reserved_device_name(*card.text.name)) {
        throw UsageError(fmt::format("libvirt takes '{}' for a name of its own, and may give it to "
                                     "another card: choose another --name",
                                     *card.text.name));
    }
    if (card.way == Way::fds && config) {
        throw UsageError("--to fds has no place in a domain's next start: leave out --config, or "
                         "use --to handoff");
    }
    if (card.way != Way::pump && !card.pump_options.empty()) {
        throw UsageError("limits and port security are a pump's: add --to pump");
    }
}

std::string tell(const Domain& domain, const NewCard& card, const AttachedCard& attached,
                 bool json) {
    return json ? to_line({{"domain", domain.name()},
                           {"mac", attached.mac.text()},
                           {"way", to_text(card.way)},
                           {"device", attached.device}})
                : fmt::format("{} {}", attached.mac.text(), attached.device);
}

} // namespace

int attach_verb(const Arguments& arguments) {
    NewCard card;
    std::optional<std::string> uri;
    std::optional<std::string> to;
    bool live = false;
    bool config = false;
    bool json = false;
    CommandLine command_line("DOMAIN", "Give a domain of libvirt one more network card.");
    add_interface_options(command_line, card.text);
    command_line.value("to", "WAY",
                       "handoff: libvirt opens its queues; pump: tapline-pump serves it; fds: "
                       "passed to QEMU past libvirt (default: handoff)",
                       to);
    command_line.flag("trust-guest-rx-filters", "The guest may change its MAC address",
                      card.trusts_mac);
    const PolicyOptions policy(command_line);
    command_line.flag("live", "To the running guest (default where it runs)", live);
    command_line.flag("config", "From its next start on (default where it does not run)", config);
    command_line.flag("json", "Print what was attached as JSON", json);
    add_connect_option(command_line, uri);
    const Arguments names = command_line.parse(arguments);
    if (names.size() != 1) {
        throw UsageError("attach needs one DOMAIN");
    }
    policy.parse();
    card.way = parse_way(to.value_or(to_text(Way::handoff)));
    card.pump_options = policy.arguments();
    check(card, config);

    const Connection connection = Connection::open(uri);
    const Domain domain = connection.find(names.front());
    const auto affected = Affected::choose(domain, live || card.way == Way::fds, config);
    const AttachedCard attached = attach(domain, card, affected);
    print("{}\n", tell(domain, card, attached, json));
    return 0;
}

} // namespace tapline::libvirt
