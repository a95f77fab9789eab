#include "backend/host_link.h"
#include "backend/base/command_line.h"
#include "backend/base/error.h"
#include "backend/base/log.h"
#include "backend/base/output.h"
#include "backend/interface_options.h"
#include "backend/json.h"
#include "backend/verbs/verbs.h"

#include <nlohmann/json.hpp>

namespace tapline {
namespace {

std::string one_argument(CommandLine& command_line, const Arguments& arguments, const char* what) {
    Arguments names = command_line.parse(arguments);
    if (names.size() != 1) {
        throw UsageError(fmt::format("{} needs {}, and one only", arguments.front(), what));
    }
    return names.front();
}

int add(const Arguments& arguments) {
    HostLinkText text;
    bool json = false;
    CommandLine command_line("PARENT", "Give the host a station of its own beside its guests.");
    command_line.list("address", "CIDR[,CIDR...]", "Its addresses; repeatable", text.addresses);
    command_line.list("route", "CIDR[,CIDR...]", "Networks reached through it; repeatable",
                      text.routes);
    command_line.value("name", "NAME", "Its name (default: first free thN)", text.name);
    command_line.value("mac", "MAC", "Its MAC address (default: random, 52:54:00:..)", text.mac);
    command_line.flag("move-address", "Move the parent's addresses and routes to it",
                      text.move_addresses);
    const NetworkNamespaceOption network_namespace(command_line);
    command_line.flag("json", "Print it as JSON", json);
    text.parent = one_argument(command_line, arguments, "the PARENT interface");
    if (text.addresses.empty() && !text.move_addresses) {
        throw UsageError("add needs --address or --move-address");
    }
    const HostLinkSpec spec = HostLinkSpec::parse(text);
    network_namespace.enter();
    Netlink netlink = Netlink::open();
    OwnedHostLink owned = OwnedHostLink::create(netlink, spec);
    const HostLink link = owned.host_link();
    print("{}\n", json ? to_line(to_json(link)) : link.name);
    owned.keep();
    for (const std::string& warning : owned.warnings()) {
        log(LogLevel::warning, "{}", warning);
    }
    return 0;
}

int remove(const Arguments& arguments) {
    CommandLine command_line("PARENT|NAME", "Undo a host link, also one that was made halfway.");
    const NetworkNamespaceOption network_namespace(command_line);
    const std::string name = one_argument(command_line, arguments, "the PARENT or NAME");
    network_namespace.enter();
    Netlink netlink = Netlink::open();
    remove_host_link(netlink, name);
    return 0;
}

std::string as_json(const std::vector<HostLink>& links) {
    auto array = nlohmann::ordered_json::array();
    for (const HostLink& link : links) {
        array.push_back(to_json(link));
    }
    return to_line(array) + '\n';
}

std::string joined(const std::vector<std::string>& texts) {
    std::string all;
    for (const std::string& text : texts) {
        all += (all.empty() ? "" : ",") + text;
    }
    return all.empty() ? "-" : all;
}

std::string as_table(const std::vector<HostLink>& links) {
    constexpr auto row = "{:<15} {:<15} {:<17} {:<8} {:<23} {:<23} {}\n";
    std::string text;
    if (!links.empty()) {
        text =
            fmt::format(row, "HOST LINK", "PARENT", "MAC", "STATE", "ADDRESSES", "MOVED", "ROUTES");
    }
    for (const HostLink& link : links) {
        text += fmt::format(row, link.name, link.parent, link.mac.text(),
                            link.complete ? "complete" : "halfway", joined(link.addresses),
                            joined(link.moved_addresses), joined(link.routes));
    }
    return text;
}

int list(const Arguments& arguments) {
    bool json = false;
    CommandLine command_line("", "List the host links that tapline made.");
    const NetworkNamespaceOption network_namespace(command_line);
    command_line.flag("json", "Print them as a JSON array", json);
    command_line.parse_options(arguments);
    network_namespace.enter();
    Netlink netlink = Netlink::open();
    const auto [links, unreadable] = list_host_links(netlink);
    print_text(json ? as_json(links) : as_table(links));
    for (const Error& error : unreadable) { // One does not keep the others.
        log(LogLevel::error, "{}", error.what());
    }
    return unreadable.empty() ? 0 : 1;
}

constexpr Verb verbs[] = {{"add", "make a host link", add},
                          {"list", "list host links", list},
                          {"remove", "undo a host link", remove}};

} // namespace

int host_link_verb(const Arguments& arguments) {
    return run_one_of(verbs, arguments);
}

} // namespace tapline
