// `tapline` as a user runs it on a parent of its own, and the records it leaves.
#pragma once

#include "tests/netns/lab.h"
#include "tests/netns/program.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace tapline::netns {

using Arguments = std::vector<std::string>;

constexpr auto records_folder = "/run/tapline/devices";

Outcome tapline(const Arguments& arguments);
std::vector<std::string> records(); // Names of the files, in order.
nlohmann::json listed();            // By `tapline list --json`.

// With one sentence that names the subject, and nothing else.
void expect_refusal(const Outcome& outcome, const std::string& subject, int status = 1);

class DeviceLab : public testing::Test {
protected:
    ~DeviceLab() override; // Without the records a test left.

    static void create(const std::string& name, const Arguments& more = {});
    // One whose owner, a pump, was killed.
    static void abandon(const std::string& name, const Arguments& more = {});

    Wire wire_;
};

// A second network namespace, `other`, with a parent `uplink` of its own.
class OtherNamespace {
public:
    OtherNamespace();
    ~OtherNamespace();
    OtherNamespace(const OtherNamespace&) = delete;
    OtherNamespace& operator=(const OtherNamespace&) = delete;

    static std::string output_of(const std::string& command); // Run in it.
    static bool has(const std::string& link);
    static void remove();
};

} // namespace tapline::netns
