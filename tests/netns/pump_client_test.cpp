// The pump that connects to a front end instead of waiting for one, as with QEMU's server=on.
#include "tests/netns/frames.h"
#include "tests/netns/pump_lab.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace tapline::netns {
namespace {

using fakes::FrontEndListener;
using fakes::Guest;
using testing::HasSubstr;
using Arguments = std::vector<std::string>;

constexpr const char* pump_program = "iouring/tapline-pump";
const Guest::Options usual{.features = PumpLab::usual};

class PumpClient : public testing::Test {
protected:
    Arguments arguments(const Arguments& more = {}) const {
        Arguments all = {"--socket-path", socket_,  "--client", "--json-status",
                         "--parent",      "uplink", "--mac",    "52:54:00:00:00:01"};
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }

    void start(const Arguments& more = {}) { pump_.emplace(pump_program, arguments(more)); }

    void expect_to_end_well() {
        EXPECT_EQ(pump_->wait(), 0) << pump_->errors();
        EXPECT_TRUE(link("tl0").is_null());
    }

    Wire wire_;
    Station station_{"peer0"};
    std::string socket_ = test_socket();
    std::optional<Program> pump_;
};

TEST_F(PumpClient, ServesTheFrontEndThatListensAndEndsWithIt) {
    FrontEndListener listener(socket_);
    start();
    {
        Guest guest(listener.accept(), usual);
        expect_frames_pass(station_, guest);
    }
    expect_to_end_well();
}

TEST_F(PumpClient, WithoutFrontEndEndsAtOnceAndLeavesNothing) {
    const Outcome failed = outcome_of(pump_program, arguments());
    EXPECT_EQ(failed.status, 1);
    EXPECT_THAT(failed.errors, HasSubstr(socket_));
    EXPECT_THAT(failed.errors, HasSubstr("--reconnect"));
    EXPECT_TRUE(link("tl0").is_null());
}

TEST_F(PumpClient, RefusesAPathThatCanNeverBeThere) {
    const Outcome failed =
        outcome_of(pump_program, {"--socket-path", "/tmp/" + std::string(108, 'x'), "--client",
                                  "--reconnect", "1", "--parent", "uplink"});
    EXPECT_EQ(failed.status, 1);
    EXPECT_THAT(failed.errors, HasSubstr("1 to 107 bytes"));
}

TEST_F(PumpClient, WaitsForAFrontEndThatIsNotThereYet) {
    start({"--reconnect", "1"});
    pump_->wait_for("listening");
    FrontEndListener listener(socket_);
    Guest guest(listener.accept(), usual);
    expect_frames_pass(station_, guest);
}

TEST_F(PumpClient, ServesEachFrontEndThatComesBack) {
    start({"--reconnect", "1"});
    for (int session = 1; session <= 3; ++session) {
        FrontEndListener listener(socket_); // Gone in between, name and all.
        {
            Guest guest(listener.accept(), usual);
            expect_frames_pass(station_, guest);
        }
        EXPECT_EQ(pump_->wait_for("disconnected").at("counters").at("sessions"), session);
    }
    pump_->signal(SIGTERM);
    expect_to_end_well();
}

// The guest keeps its rings where they are and never notices.
TEST_F(PumpClient, TakesOverFromAPumpThatWasKilled) {
    FrontEndListener listener(socket_);
    start({"--reconnect", "1"});
    Guest guest(listener.accept(), usual);
    for (const int deadly : {SIGKILL, SIGTERM, SIGKILL}) {
        expect_frames_pass(station_, guest);
        pump_->signal(deadly);
        pump_->wait();
        start({"--reconnect", "1"});
        guest.reconnect(listener.accept());
    }
    expect_frames_pass(station_, guest);
    pump_->signal(SIGTERM);
    expect_to_end_well();
}

TEST_F(PumpClient, OptionsThatDoNotGoTogether) {
    for (const Arguments& bad : std::vector<Arguments>{
             {"--client", "--fd", "0"}, {"--socket-path", socket_, "--reconnect", "5"}}) {
        Arguments all = bad;
        all.insert(all.end(), {"--parent", "uplink"});
        const Outcome failed = outcome_of(pump_program, all);
        EXPECT_EQ(failed.status, 2);
        EXPECT_THAT(failed.errors, HasSubstr("--client"));
    }
    for (const char* pause : {"0", "-1", "soon", "3600001"}) {
        const Outcome failed = outcome_of(pump_program, arguments({"--reconnect", pause}));
        EXPECT_EQ(failed.status, 1);
        EXPECT_THAT(failed.errors, HasSubstr(pause));
    }
}

} // namespace
} // namespace tapline::netns
