// `tapline bench` in the small: what it tells, and that nothing of it is left.
#include "tests/netns/lab.h"
#include "tests/netns/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace tapline::netns {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using Arguments = std::vector<std::string>;

constexpr const char* report_folder = "/run/bench-report";

Outcome bench(Arguments arguments) {
    return outcome_of("iouring/tapline-bench", arguments);
}

std::string text_of(const std::string& name) {
    std::ifstream file(std::filesystem::path(report_folder) / name);
    return {std::istreambuf_iterator<char>(file), {}};
}

void expect_times(const nlohmann::json& times, const std::vector<std::string>& steps) {
    for (const std::string& step : steps) {
        EXPECT_GT(times.at(step + "_us").get<double>(), 0) << step;
    }
}

TEST(Bench, TellsWhatDevicesCostAndOnWhat) {
    const Outcome done = bench({"--scenario", "devices", "--rounds", "3", "--devices", "2,4",
                                "--program", program_path("backend/tapline"), "--json"});
    ASSERT_EQ(done.status, 0) << done.errors;
    const auto facts = nlohmann::json::parse(done.output);
    EXPECT_EQ(facts.at("scenario"), "devices");
    EXPECT_EQ(facts.at("kernel").get<std::string>() + "\n", output_of("uname -r"));
    EXPECT_NE(facts.at("cpu"), "");
    EXPECT_GE(facts.at("cpus").get<int>(), 1);
    EXPECT_NE(facts.at("build"), "");
    EXPECT_EQ(facts.at("rounds"), 3);
    for (const char* way : {"tapline", "bare"}) {
        expect_times(facts.at(way), {"create", "open", "delete", "total"});
    }
    EXPECT_GT(facts.at("ratio").get<double>(), 0);
    EXPECT_TRUE(facts.at("linear").is_boolean());
    for (const char* way : {"tapline", "bare", "programs"}) {
        const auto& growth = facts.at("growth").at(way);
        ASSERT_EQ(growth.at("points").size(), 2);
        EXPECT_EQ(growth.at("points").at(1).at("devices"), 4);
        expect_times(growth.at("points").at(1), {"create", "list", "delete"});
        EXPECT_GT(growth.at("factors").at("list").get<double>(), 0);
    }
}

TEST(Bench, LeavesNoDeviceNoRecordAndNoNode) {
    const auto links_before = links();
    const std::string nodes_before = output_of("ls -A /dev | grep -c '^.tapline-'");
    ASSERT_EQ(bench({"--rounds", "1", "--devices", "2"}).status, 0);
    EXPECT_EQ(links(), links_before);
    EXPECT_FALSE(std::filesystem::exists("/run/tapline"));
    EXPECT_EQ(output_of("ls -A /dev | grep -c '^.tapline-'"), nodes_before);
}

// Also below /run, which is another one while it measures.
TEST(Bench, WritesItsFiguresAndPlotsIntoAFolder) {
    const Outcome done =
        bench({"--rounds", "1", "--devices", "1,2", "--json", "--report", report_folder});
    ASSERT_EQ(done.status, 0) << done.errors;
    EXPECT_EQ(nlohmann::json::parse(text_of("report.json")), nlohmann::json::parse(done.output));
    for (const char* step : {"create", "list", "delete"}) {
        const std::string plot = text_of(std::string("devices-") + step + ".svg");
        EXPECT_THAT(plot, StartsWith("<svg ")) << step;
        EXPECT_THAT(plot, HasSubstr(">bare</text>"));
        EXPECT_THAT(plot, testing::EndsWith("</svg>\n"));
    }
}

TEST(Bench, ShowsATableByDefault) {
    const Outcome done = bench({"--rounds", "1", "--devices", "1"});
    ASSERT_EQ(done.status, 0) << done.errors;
    EXPECT_THAT(done.output, StartsWith("Linux " + output_of("printf %s $(uname -r)")));
    EXPECT_THAT(done.output, HasSubstr("last/first"));
}

// There are warnings where it is no release build or the machine is busy.
std::string without_doubts(const std::string& errors) {
    std::istringstream lines(errors);
    std::string rest;
    for (std::string line; std::getline(lines, line);) {
        rest += line.ends_with("figures mean little") ? "" : line + '\n';
    }
    return rest;
}

MATCHER(EndsWithItsOnlyNewline, "") {
    return !arg.empty() && arg.find('\n') == arg.size() - 1;
}

struct BadCall {
    std::string name;
    Arguments arguments;
    int status;
    std::string subject;
    friend void PrintTo(const BadCall& call, std::ostream* out) { *out << call.name; }
};

Arguments frames(const Arguments& more) {
    Arguments all = {"--scenario", "guest-to-wire", "--rounds", "1", "--seconds", "0.01"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

class BenchRefusals : public testing::TestWithParam<BadCall> {};

TEST_P(BenchRefusals, AreOneSentence) {
    const Outcome refused = bench(GetParam().arguments);
    EXPECT_EQ(refused.status, GetParam().status);
    EXPECT_EQ(refused.output, "");
    EXPECT_THAT(refused.errors, HasSubstr(GetParam().subject));
    EXPECT_THAT(without_doubts(refused.errors), EndsWithItsOnlyNewline());
}

INSTANTIATE_TEST_SUITE_P(
    Calls, BenchRefusals,
    testing::Values(BadCall{"ScenarioUnknown", {"--scenario", "weather"}, 2, "weather"},
                    BadCall{"StrayArgument", {"devices"}, 2, "devices"},
                    BadCall{"CountsThatShrink", {"--devices", "4,2"}, 2, "--devices"},
                    BadCall{"CountsEmpty", {"--devices", ""}, 2, "--devices"},
                    BadCall{"CountOverAll", {"--devices", "4001"}, 2, "4001"},
                    BadCall{"RoundsZero", {"--rounds", "0"}, 2, "'0'"},
                    BadCall{"RoundsNoNumber", {"--rounds", "x"}, 2, "'x'"},
                    BadCall{"ProgramMissing",
                            {"--rounds", "1", "--devices", "1", "--program", "/nosuch/tapline"},
                            1,
                            "/nosuch/tapline"},
                    BadCall{"FramesOfDevices", {"--frame-size", "60"}, 2, "--frame-size"},
                    BadCall{"DevicesOfFrames", frames({"--devices", "2"}), 2, "--devices"},
                    BadCall{"FrameTooSmall", frames({"--frame-size", "59"}), 2, "'59'"},
                    BadCall{"FrameTooLarge", frames({"--frame-size", "9015"}), 2, "'9015'"},
                    BadCall{"SecondsNone", frames({"--seconds", "0"}), 2, "--seconds"},
                    BadCall{"SecondsNoNumber", frames({"--seconds", "1s"}), 2, "--seconds"},
                    BadCall{"RingUnknown", frames({"--ring", "round"}), 2, "--ring"},
                    BadCall{"QueuesNone", frames({"--queues", "0"}), 2, "'0'"},
                    BadCall{"ParentUnknown", frames({"--parent-kind", "bond"}), 2, "bond"},
                    BadCall{"BaselineUnknown", frames({"--baseline", "dpdk"}), 2, "dpdk"},
                    BadCall{"PeerWithoutSocket", frames({"--peer", "true"}), 2, "{socket}"},
                    BadCall{"PeerWithOpenQuote", frames({"--peer", "'{socket}"}), 2, "--peer"},
                    BadCall{"PeerThatEnds", frames({"--peer", "echo why {socket}"}), 1, "why"},
                    BadCall{"PumpMissing", frames({"--pump", "/nosuch/pump"}), 1, "/nosuch/pump"},
                    BadCall{"WireThatOnlySwallows",
                            {"--scenario", "both", "--parent-kind", "ifb"},
                            2,
                            "--parent-kind"},
                    BadCall{"StreamOfOneSize",
                            {"--scenario", "stream", "--frame-size", "60"},
                            2,
                            "--frame-size"},
                    BadCall{"FloodFromTheGuest", frames({"--flood"}), 2, "--flood"},
                    BadCall{"FloodWithoutLoss",
                            {"--scenario", "both", "--flood", "--zero-loss"},
                            2,
                            "exclude each other"},
                    BadCall{"SearchOfPings", {"--scenario", "rtt", "--zero-loss"}, 2, "zero-loss"},
                    BadCall{"ReportFolderIsAFile", {"--report", "/dev/null"}, 1, "/dev/null"}),
    [](const auto& test) { return test.param.name; });

TEST(Bench, WithoutRightsIsRefusedWithTheNextStep) {
    const std::string said = output_of("setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin " +
                                       program_path("iouring/tapline-bench") + " 2>&1");
    EXPECT_THAT(said, HasSubstr("run as root"));
}

} // namespace
} // namespace tapline::netns
