#include "iouring/policy_options.h"

#include "backend/base/error.h"

#include <fmt/format.h>

namespace tapline {
namespace {

constexpr size_t addresses_max = 256; // Of a kind: they are looked through for each frame.

void check_count(const std::vector<std::string>& addresses, const char* option) {
    if (addresses.size() > addresses_max) {
        throw Error({.operation = fmt::format("use {} times --{}", addresses.size(), option),
                     .cause = fmt::format("at most {} are allowed", addresses_max)});
    }
}

} // namespace

PolicyOptions::PolicyOptions(CommandLine& command_line) {
    command_line.value("limit-guest-to-wire", "RATE",
                       "Carry no more: 100mbit, 10kfps or 1gbit,200kfps,burst=256kb,burst=128f "
                       "(default: no limit)",
                       guest_to_wire_);
    command_line.value("limit-wire-to-guest", "RATE", "The same in the other direction",
                       wire_to_guest_);
    command_line.flag("port-security",
                      "Refuse the guest's router advertisements and DHCP answers "
                      "(default: off without the next two)",
                      port_security_);
    command_line.list("allow-source-mac", "MAC",
                      "Refuse frames from other addresses; 'own' is the device's; repeatable "
                      "(default: any)",
                      source_macs_);
    command_line.list("allow-source-ip", "ADDRESS[/PREFIX]",
                      "Refuse packets from other addresses; repeatable (default: any)",
                      source_ips_);
    command_line.flag("allow-router-advertisements", "With port security, let these pass",
                      router_advertisements_);
    command_line.flag("allow-dhcp-server", "With port security, let DHCP answers pass",
                      dhcp_server_);
}

Pump::Policy PolicyOptions::parse() const {
    Pump::Policy policy;
    const auto limit = [&](Direction direction, const std::optional<std::string>& text) {
        if (text) {
            policy.limits[static_cast<size_t>(direction)] = RateLimit::Rates::parse(*text);
        }
    };
    limit(Direction::guest_to_wire, guest_to_wire_);
    limit(Direction::wire_to_guest, wire_to_guest_);

    if (!port_security_ && source_macs_.empty() && source_ips_.empty()) {
        if (router_advertisements_ || dhcp_server_) {
            throw UsageError("without port security there is nothing to allow: add "
                             "--port-security, --allow-source-mac or --allow-source-ip");
        }
        return policy;
    }
    check_count(source_macs_, "allow-source-mac");
    check_count(source_ips_, "allow-source-ip");
    PortSecurity::Rules rules{.macs = {},
                              .addresses = {},
                              .router_advertisements = router_advertisements_,
                              .dhcp_server = dhcp_server_};
    for (const std::string& text : source_macs_) {
        if (text == "own") {
            rules.own_mac = true;
        } else {
            rules.macs.push_back(MacAddress::parse(text));
        }
    }
    for (const std::string& text : source_ips_) {
        rules.addresses.push_back(IpPrefix::parse_source(text));
    }
    policy.security = std::move(rules);
    return policy;
}

std::vector<std::string> PolicyOptions::arguments() const {
    std::vector<std::string> all;
    const auto value = [&](const char* name, const std::string& text) {
        all.push_back(fmt::format("--{}={}", name, text));
    };
    const auto flag = [&](const char* name, bool given) {
        if (given) {
            all.push_back(fmt::format("--{}", name));
        }
    };
    if (guest_to_wire_) {
        value("limit-guest-to-wire", *guest_to_wire_);
    }
    if (wire_to_guest_) {
        value("limit-wire-to-guest", *wire_to_guest_);
    }
    flag("port-security", port_security_);
    for (const std::string& mac : source_macs_) {
        value("allow-source-mac", mac);
    }
    for (const std::string& ip : source_ips_) {
        value("allow-source-ip", ip);
    }
    flag("allow-router-advertisements", router_advertisements_);
    flag("allow-dhcp-server", dhcp_server_);
    return all;
}

} // namespace tapline
