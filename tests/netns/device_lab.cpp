#include "tests/netns/device_lab.h"

#include <algorithm>
#include <csignal>
#include <filesystem>

namespace tapline::netns {
namespace {

namespace fs = std::filesystem;

Arguments joined(Arguments first, const Arguments& more) {
    first.insert(first.end(), more.begin(), more.end());
    return first;
}

} // namespace

Outcome tapline(const Arguments& arguments) {
    return outcome_of("backend/tapline", arguments);
}

std::vector<std::string> records() {
    std::vector<std::string> names;
    std::error_code missing;
    for (const auto& entry : fs::directory_iterator(records_folder, missing)) {
        names.push_back(entry.path().filename());
    }
    std::ranges::sort(names);
    return names;
}

nlohmann::json listed() {
    return nlohmann::json::parse(tapline({"list", "--json"}).output);
}

void expect_refusal(const Outcome& outcome, const std::string& subject, int status) {
    EXPECT_EQ(outcome.status, status);
    EXPECT_EQ(outcome.output, "");
    EXPECT_NE(outcome.errors.find(subject), std::string::npos) << outcome.errors;
    EXPECT_EQ(outcome.errors.find('\n'), outcome.errors.size() - 1) << outcome.errors;
}

DeviceLab::~DeviceLab() {
    fs::remove_all("/run/tapline");
}

void DeviceLab::create(const std::string& name, const Arguments& more) {
    const Outcome created = tapline(joined({"create", "--parent", "uplink", "--name", name}, more));
    ASSERT_EQ(created.status, 0) << created.errors;
}

void DeviceLab::abandon(const std::string& name, const Arguments& more) {
    Program pump("iouring/tapline-pump", joined({"--socket-path", test_socket(), "--parent",
                                                 "uplink", "--name", name, "--json-status"},
                                                more));
    pump.wait_for("listening");
    pump.signal(SIGKILL);
    ASSERT_EQ(pump.wait(), 128 + SIGKILL);
}

OtherNamespace::OtherNamespace() {
    run("ip netns add other && ip -n other link add uplink type veth peer name peer0 && "
        "ip -n other link set uplink up && ip -n other link set peer0 up");
}

OtherNamespace::~OtherNamespace() {
    run("if [ -e /run/netns/other ]; then ip netns delete other; fi");
}

std::string OtherNamespace::output_of(const std::string& command) {
    return netns::output_of("ip netns exec other " + command);
}

bool OtherNamespace::has(const std::string& link) {
    return !netns::output_of("ip -n other link show " + link + " 2>/dev/null").empty();
}

void OtherNamespace::remove() {
    run("ip netns delete other");
}

} // namespace tapline::netns
