#include "tests/netns/host_link_lab.h"

#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <system_error>

namespace tapline::netns {
namespace {

constexpr std::chrono::seconds settling_max{10};

// The kernel gives a link its own IPv6 address some time after its carrier.
bool has_link_local(const std::string& link) {
    return !output_of("ip -6 address show scope link dev " + link).empty();
}

bool is_settled() {
    return output_of("ip -6 address show tentative").empty();
}

template <typename Condition> void await(Condition condition, const char* otherwise) {
    const auto deadline = std::chrono::steady_clock::now() + settling_max;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) {
            throw std::runtime_error(otherwise);
        }
    }
}

} // namespace

HostLinks::HostLinks() {
    run("for each in all default uplink peer0; do"
        " echo 0 > /proc/sys/net/ipv6/conf/$each/accept_dad;"
        " echo 0 > /proc/sys/net/ipv6/conf/$each/disable_ipv6; done");
    await([] { return has_link_local("uplink") && has_link_local("peer0"); },
          "a link gets no IPv6 address of its own");
}

HostLinks::~HostLinks() {
    std::filesystem::remove_all("/run/tapline");
}

Outcome HostLinks::host_link(Arguments arguments) {
    arguments.insert(arguments.begin(), "host-link");
    return outcome_of("backend/tapline", arguments);
}

Outcome HostLinks::reconcile(const Arguments& more) {
    Arguments arguments = {"reconcile"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return outcome_of("backend/tapline", arguments);
}

void HostLinks::add(Arguments arguments) {
    arguments.insert(arguments.begin(), {"add", "uplink"});
    const Outcome added = host_link(arguments);
    ASSERT_EQ(added.status, 0) << added.errors;
}

nlohmann::json HostLinks::listed() {
    return nlohmann::json::parse(host_link({"list", "--json"}).output);
}

std::vector<std::string> HostLinks::record_files() {
    std::vector<std::string> paths;
    std::error_code missing;
    for (const auto& entry :
         std::filesystem::directory_iterator("/run/tapline/host-links", missing)) {
        paths.push_back(entry.path());
    }
    return paths;
}

nlohmann::json HostLinks::state() {
    await(is_settled, "an IPv6 address stays tentative");
    nlohmann::json all = {{"links", links()}};
    for (const auto& each : nlohmann::json::parse(output_of("ip -j address"))) {
        all["addresses"][each.at("ifname").get<std::string>()] = each.at("addr_info");
    }
    for (const char* version : {"-4", "-6"}) {
        all["routes"][version] = nlohmann::json::parse(
            output_of("ip -j -d " + std::string(version) + " route show table all"));
    }
    return all;
}

std::vector<std::string> HostLinks::addresses(const std::string& link) {
    std::vector<std::string> all;
    for (const auto& each : nlohmann::json::parse(output_of("ip -j address show dev " + link))) {
        for (const auto& address : each.at("addr_info")) {
            if (address.at("scope") == "global") {
                all.push_back(address.at("local").get<std::string>() + "/" +
                              std::to_string(address.at("prefixlen").get<int>()));
            }
        }
    }
    return all;
}

} // namespace tapline::netns
