// `tapline host-link` as a user runs it, on a parent with both IP versions, and all that the kernel
// has of links, addresses and routes to compare.
#pragma once

#include "tests/netns/lab.h"
#include "tests/netns/program.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace tapline::netns {

class HostLinks : public testing::Test {
protected:
    using Arguments = std::vector<std::string>;

    HostLinks();
    ~HostLinks() override; // Without what a test left.

    static Outcome host_link(Arguments arguments);
    static Outcome reconcile(const Arguments& more = {});
    static void add(Arguments arguments); // To uplink; the test fails where it is refused.
    static nlohmann::json listed();
    static std::vector<std::string> record_files(); // Their paths.

    // Once no IPv6 address is new any more.
    static nlohmann::json state();
    // As CIDR, link-local ones left out, in the order of `ip address`.
    static std::vector<std::string> addresses(const std::string& link);

    Wire wire_;
};

} // namespace tapline::netns
