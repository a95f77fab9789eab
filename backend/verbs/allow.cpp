#include "backend/allowed_macs.h"

#include "backend/base/error.h"
#include "backend/base/output.h"
#include "backend/interface_options.h"
#include "backend/json.h"
#include "backend/verbs/verbs.h"

#include <nlohmann/json.hpp>

namespace tapline {
namespace {

int list_allowed(const Arguments& arguments) {
    bool json = false;
    CommandLine command_line("NAME", "Print whose frames a device in mode source takes.");
    const NetworkNamespaceOption network_namespace(command_line);
    command_line.flag("json", "Print them as a JSON array", json);
    const Arguments names = command_line.parse(arguments);
    if (names.size() != 1) {
        throw UsageError("allow list needs the NAME of one device");
    }
    network_namespace.enter();
    Netlink netlink = Netlink::open();
    auto array = nlohmann::ordered_json::array();
    std::string lines;
    for (const MacAddress& mac : find_macvtap(netlink, names.front()).allowed_macs) {
        array.push_back(mac.text());
        lines += mac.text() + '\n';
    }
    print_text(json ? to_line(array) + '\n' : lines);
    return 0;
}

int change(const Arguments& arguments, const char* summary, AllowedMacsChange change) {
    CommandLine command_line("NAME MAC...", summary);
    const NetworkNamespaceOption network_namespace(command_line);
    const Arguments rest = command_line.parse(arguments);
    const bool may_be_empty = change == AllowedMacsChange::replace;
    if (rest.empty() || (rest.size() == 1 && !may_be_empty)) {
        throw UsageError("allow needs the NAME of a device and MAC addresses");
    }
    const auto macs = parse_allowed_macs({rest.begin() + 1, rest.end()});
    network_namespace.enter();
    Netlink netlink = Netlink::open();
    const MacvtapDevice device = find_our_macvtap(netlink, rest.front(), "change");
    change_allowed_macs(netlink, device, change, macs);
    return 0;
}

int add_allowed(const Arguments& arguments) {
    return change(arguments, "Let frames from these addresses through as well.",
                  AllowedMacsChange::add);
}

int remove_allowed(const Arguments& arguments) {
    return change(arguments, "Let frames from these addresses through no more.",
                  AllowedMacsChange::remove);
}

int replace_allowed(const Arguments& arguments) {
    return change(arguments, "Let frames from these addresses through and from no others.",
                  AllowedMacsChange::replace);
}

constexpr Verb verbs[] = {{"list", "print the allowed addresses of a device", list_allowed},
                          {"add", "allow more", add_allowed},
                          {"remove", "allow some no more", remove_allowed},
                          {"replace", "allow these and no others", replace_allowed}};

} // namespace

int allow_verb(const Arguments& arguments) {
    return run_one_of(verbs, arguments);
}

} // namespace tapline
