// `tapline bench` with frames, in the small: each scenario carries some, accounts for all of them
// and tells it in the keys that the man page promises.
#include "backend/base/unique_fd.h"
#include "tests/fakes/front_end.h"
#include "tests/netns/lab.h"
#include "tests/netns/program.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace tapline::netns {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using Arguments = std::vector<std::string>;

// The programs of a sanitizer, on a busy machine, may move no frame in less.
const double seconds = std::getenv("TAPLINE_PROGRAM_DIR") != nullptr ? 0.4 : 0.1;

Outcome bench(const std::string& scenario, const Arguments& more) {
    Arguments arguments = {"--scenario", scenario,    "--rounds",
                           "1",          "--seconds", fmt::to_string(seconds)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return outcome_of("iouring/tapline-bench", arguments);
}

json measured(const std::string& scenario, Arguments more = {}) {
    more.emplace_back("--json");
    const Outcome done = bench(scenario, more);
    EXPECT_EQ(done.status, 0) << done.errors;
    return done.status == 0 ? json::parse(done.output) : json();
}

std::vector<std::string> names_of(const json& engines) {
    std::vector<std::string> names;
    for (const json& engine : engines) {
        names.push_back(engine.at("engine"));
    }
    return names;
}

double median(const json& spread) {
    EXPECT_LE(spread.at("min"), spread.at("median"));
    EXPECT_LE(spread.at("median"), spread.at("max"));
    return spread.at("median");
}

void expect_delivery(const json& delivery, bool looks) {
    EXPECT_GT(median(delivery.at("frames_per_s")), 0);
    EXPECT_GT(median(delivery.at("bits_per_s")), 0);
    EXPECT_GT(median(delivery.at("offered_per_s")), 0);
    EXPECT_GE(median(delivery.at("loss")), 0);
    EXPECT_LT(median(delivery.at("loss")), 1);
    if (looks) {
        EXPECT_GT(delivery.at("looked_at"), 0);
    }
    EXPECT_EQ(delivery.at("damaged"), 0);
    EXPECT_EQ(delivery.at("reordered"), 0);
}

void expect_costs(const json& engine) {
    EXPECT_GT(median(engine.at("cpu_ns_per_frame").at("backend")), 0);
    EXPECT_GT(median(engine.at("cpu_ns_per_frame").at("front_end")), 0);
    EXPECT_GE(median(engine.at("cpu_ns_per_frame").at("softirq")), 0);
    EXPECT_GE(median(engine.at("frames_per_kick")), 0);
    EXPECT_GE(median(engine.at("frames_per_call")), 0);
    EXPECT_TRUE(engine.at("sender_limits").is_number());
}

struct Case {
    std::string name;
    std::string scenario;
    bool to_wire;
    bool to_guest;
    Arguments options;
    friend void PrintTo(const Case& measuring, std::ostream* out) { *out << measuring.name; }
};

class BenchOfFrames : public testing::TestWithParam<Case> {};

TEST_P(BenchOfFrames, AccountsForAllOfThem) {
    const Case& measuring = GetParam();
    const json facts = measured(measuring.scenario, measuring.options);
    ASSERT_THAT(names_of(facts.at("engines")), ElementsAre("pump", "loop", "bare"));
    EXPECT_EQ(facts.at("rounds"), 1);
    EXPECT_EQ(facts.at("seconds"), seconds);
    for (const json& engine : facts.at("engines")) {
        SCOPED_TRACE(engine.at("engine"));
        const bool bare = engine.at("engine") == "bare";
        EXPECT_EQ(engine.contains("to_wire"), measuring.to_wire);
        EXPECT_EQ(engine.contains("to_guest"), measuring.to_guest);
        if (measuring.to_wire) {
            expect_delivery(engine.at("to_wire"), true);
        }
        if (measuring.to_guest) {
            expect_delivery(engine.at("to_guest"), !bare);
        }
        expect_costs(engine);
    }
    for (const char* ratio : {"ratio", "cpu_ratio"}) {
        EXPECT_GT(median(facts.at("engines").at(0).at(ratio).at("loop")), 0);
        EXPECT_GT(median(facts.at("engines").at(0).at(ratio).at("bare")), 0);
    }
}

INSTANTIATE_TEST_SUITE_P(
    Scenarios, BenchOfFrames,
    testing::Values(
        Case{"GuestToWire", "guest-to-wire", true, false, {}},
        Case{"GuestToWireOnVeth", "guest-to-wire", true, false, {"--parent-kind", "veth"}},
        Case{"GuestToWireJumbo", "guest-to-wire", true, false, {"--frame-size", "9014"}},
        Case{"GuestToWireSegments", "guest-to-wire", true, false, {"--frame-size", "64k"}},
        Case{"GuestToWireFromAPackedRing", "guest-to-wire", true, false, {"--ring", "packed"}},
        Case{"WireToGuestToAPackedRing", "wire-to-guest", false, true, {"--ring", "packed"}},
        Case{"WireToGuest", "wire-to-guest", false, true, {}},
        Case{"WireToGuestMix", "wire-to-guest", false, true, {"--frame-size", "imix"}},
        Case{"WireToGuestJumbo", "wire-to-guest", false, true, {"--frame-size", "9014"}},
        Case{"WireToGuestSegments", "wire-to-guest", false, true, {"--frame-size", "64k"}},
        Case{"WireToGuestInAFlood", "wire-to-guest", false, true, {"--flood"}},
        Case{"Both", "both", true, true, {}},
        Case{"GuestToGuest", "guest-to-guest", false, true, {}},
        Case{"BothOnTwoQueuePairs", "both", true, true, {"--queues", "2"}}),
    [](const auto& test) { return test.param.name; });

TEST(Bench, StreamsSegmentsBothWays) {
    // Such large frames are few.
    const json facts = measured("stream", {"--seconds", "0.5"});
    ASSERT_EQ(facts.at("directions").size(), 2);
    const json& out = facts.at("directions").at(0);
    const json& in = facts.at("directions").at(1);
    EXPECT_EQ(out.at("direction"), "guest-to-wire");
    EXPECT_EQ(in.at("direction"), "wire-to-guest");
    EXPECT_EQ(in.at("frame_bytes"), 65214);
    ASSERT_THAT(names_of(out.at("engines")), ElementsAre("pump", "loop", "bare"));
    expect_delivery(out.at("engines").at(0).at("to_wire"), true);
    expect_delivery(in.at("engines").at(0).at("to_guest"), true);
}

TEST(Bench, TellsWhatTheEndsOfTheWireReachAlone) {
    EXPECT_GT(measured("wire-to-guest", {"--baseline", "bare"}).at("source_alone_per_s"), 0);
    EXPECT_GT(measured("guest-to-wire", {"--baseline", "bare"}).at("sink_alone_per_s"), 0);
}

TEST(Bench, TellsHowCostGrowsWithQueuePairs) {
    const json facts = measured("guest-to-wire", {"--queues", "2", "--baseline", "bare"});
    EXPECT_EQ(facts.at("queues"), 2);
    for (const json& engine : facts.at("engines")) {
        EXPECT_GT(median(engine.at("cpu_growth")), 0);
    }
}

// On a busy machine no rate may pass, but one that passes has no loss.
TEST(Bench, FindsARateWithoutLoss) {
    for (const char* scenario : {"guest-to-wire", "wire-to-guest"}) {
        const json facts = measured(scenario, {"--zero-loss"});
        EXPECT_EQ(facts.at("zero_loss"), true);
        ASSERT_THAT(names_of(facts.at("engines")), ElementsAre("pump", "loop"));
        for (const json& engine : facts.at("engines")) {
            const json& delivery = engine.at(engine.contains("to_wire") ? "to_wire" : "to_guest");
            EXPECT_EQ(median(delivery.at("loss")), 0);
            EXPECT_EQ(delivery.at("damaged"), 0);
            EXPECT_EQ(delivery.at("reordered"), 0);
        }
    }
}

TEST(Bench, TellsRoundTripsByPause) {
    const json facts = measured("rtt");
    ASSERT_EQ(facts.at("gaps").size(), 3);
    const std::vector<int> gaps_us = {0, 200, 1000};
    for (size_t i = 0; i < gaps_us.size(); ++i) {
        const json& gap = facts.at("gaps").at(i);
        EXPECT_EQ(gap.at("gap_us"), gaps_us[i]);
        ASSERT_THAT(names_of(gap.at("engines")), ElementsAre("pump", "loop"));
        for (const json& engine : gap.at("engines")) {
            EXPECT_GT(engine.at("pings"), 0);
            EXPECT_EQ(engine.at("lost"), 0);
            EXPECT_GT(median(engine.at("p50_us")), 0);
            EXPECT_GE(median(engine.at("p99_us")), median(engine.at("p50_us")));
            EXPECT_GE(median(engine.at("p999_us")), median(engine.at("p99_us")));
            EXPECT_GT(median(engine.at("cpu_us")), 0);
        }
        EXPECT_GT(median(gap.at("engines").at(0).at("ratio_to_loop").at("p50")), 0);
    }
}

TEST(Bench, MeasuresAnotherBackendAsItsPeer) {
    const json facts = measured(
        "guest-to-wire", {"--baseline", "loop", "--peer",
                          program_path("iouring/tapline-pump") +
                              " --socket-path {socket} --device {device} --queues {queues}"});
    ASSERT_THAT(names_of(facts.at("engines")), ElementsAre("pump", "peer", "loop"));
    expect_delivery(facts.at("engines").at(1).at("to_wire"), true);
}

TEST(Bench, TellsThatABackendEndedInTheMiddle) {
    const Outcome refused =
        bench("guest-to-wire", {"--seconds", "1", "--peer",
                                "timeout 0.3 " + program_path("iouring/tapline-pump") +
                                    " --socket-path {socket} --device {device} --queues {queues}"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.errors, HasSubstr("it has ended"));
}

// The only child of a process that has one, once it has.
pid_t child_of(pid_t parent) {
    const auto until = std::chrono::steady_clock::now() + fakes::deadline;
    while (std::chrono::steady_clock::now() < until) {
        std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", parent));
        if (pid_t child = 0; children >> child) {
            return child;
        }
    }
    throw std::runtime_error("it starts no process");
}

TEST(Bench, TakesBackendsWithItWhenItIsKilled) {
    Program killed("iouring/tapline-bench",
                   {"--scenario", "guest-to-wire", "--seconds", "60", "--baseline", "loop"});
    const UniqueFd backend(static_cast<int>(syscall(SYS_pidfd_open, child_of(killed.pid()), 0)));
    ASSERT_TRUE(backend);
    killed.signal(SIGKILL);
    killed.wait();
    EXPECT_TRUE(fakes::wait_readable(backend.get()));
}

TEST(Bench, LeavesNoDeviceBehindFrames) {
    const auto links_before = links();
    (void)measured("both", {"--baseline", "loop"});
    EXPECT_EQ(links(), links_before);
}

TEST(Bench, ShowsATableOfFrames) {
    const Outcome done = bench("wire-to-guest", {"--baseline", "bare"});
    ASSERT_EQ(done.status, 0) << done.errors;
    for (const char* word : {"frames/s", "x bare", "pump", "bare", "loss"}) {
        EXPECT_THAT(done.output, HasSubstr(word));
    }
}

} // namespace
} // namespace tapline::netns
