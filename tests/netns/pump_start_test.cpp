// How the pump begins and ends: what it takes for a front end and for a tap, what it refuses, and
// what it leaves behind.
#include "backend/tap_queue.h"
#include "tests/netns/frames.h"
#include "tests/netns/pump_lab.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

namespace tapline::netns {
namespace {

using fakes::FrontEnd;
using fakes::Guest;
using testing::EndsWith;
using testing::HasSubstr;
using Arguments = std::vector<std::string>;

constexpr const char* pump_program = "iouring/tapline-pump";
const Arguments parent = {"--parent", "uplink", "--mac", "52:54:00:00:00:01"};

Arguments operator+(Arguments left, const Arguments& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

UniqueFd make_listener(const std::string& path) {
    UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    EXPECT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener.get(), 1), 0);
    return listener;
}

class PumpStart : public testing::Test {
protected:
    ~PumpStart() override { std::filesystem::remove(socket_); }

    Arguments on_socket() const { return {"--socket-path", socket_, "--json-status"}; }

    // Runs the pump until it listens.
    Program& start(const Arguments& arguments, const std::vector<int>& fds = {}) {
        pump_.emplace(pump_program, arguments, fds);
        listening_ = pump_->wait_for("listening");
        return *pump_;
    }

    // A device of the host's, as a user makes it.
    static void make_device() {
        const Outcome created =
            outcome_of("backend/tapline", Arguments{"create", "--name", "web0"} + parent);
        ASSERT_EQ(created.status, 0) << created.errors;
    }

    void expect_to_serve(FrontEnd front_end) {
        Guest guest(std::move(front_end), {.features = PumpLab::usual});
        expect_frames_pass(station_, guest);
    }

    void expect_to_end_well() {
        pump_->signal(SIGTERM);
        EXPECT_EQ(pump_->wait(), 0) << pump_->errors();
    }

    Wire wire_;
    Station station_{"peer0"};
    std::string socket_ = test_socket();
    nlohmann::json listening_;
    std::optional<Program> pump_;
};

TEST_F(PumpStart, PrintsItsCapabilitiesAndExits) {
    const Outcome told = outcome_of(pump_program, {"--print-capabilities"});
    EXPECT_EQ(told.status, 0);
    EXPECT_EQ(nlohmann::json::parse(told.output), nlohmann::json({{"type", "net"}}));
    const std::string untold = program_path(pump_program) + " --print-capabilities 2>&1 >/dev/full";
    EXPECT_THAT(output_of(untold + "; echo $?"),
                AllOf(HasSubstr("No space left"), EndsWith("1\n")));
}

TEST_F(PumpStart, TellsWhatItListensWith) {
    start(on_socket() + parent + Arguments{"--queues", "3"});
    EXPECT_EQ(listening_.at("device"), "tl0");
    EXPECT_EQ(listening_.at("mac"), "52:54:00:00:00:01");
    EXPECT_EQ(listening_.at("socket"), socket_);
    EXPECT_EQ(listening_.at("queue_pairs"), 3);
}

TEST_F(PumpStart, ReplacesASocketThatNobodyListensOn) {
    make_listener(socket_).reset();
    ASSERT_TRUE(std::filesystem::is_socket(socket_));
    start(on_socket() + parent);
    expect_to_serve(FrontEnd::connect(socket_));
}

class PumpEnd : public PumpStart, public testing::WithParamInterface<int> {};

TEST_P(PumpEnd, BySignalLeavesNothing) {
    start(on_socket() + parent);
    ASSERT_FALSE(link("tl0").is_null());
    pump_->signal(GetParam());
    EXPECT_EQ(pump_->wait(), 0) << pump_->errors();
    EXPECT_TRUE(link("tl0").is_null());
    EXPECT_FALSE(std::filesystem::exists(socket_));
}

TEST_P(PumpEnd, BySignalUnderTrafficLeavesNothing) {
    start(on_socket() + parent);
    Guest guest(FrontEnd::connect(socket_), {.features = PumpLab::usual});
    constexpr uint32_t far_more_than_are_awaited = 4000;
    for (uint32_t number = 0; number < far_more_than_are_awaited; ++number) {
        if (number == far_more_than_are_awaited / 2) {
            pump_->signal(GetParam());
        }
        station_.send(with_header(frame_to_guest(number), Station::header_bytes));
        guest.send(with_header(frame_to_wire(number), PumpLab::header_bytes));
    }
    EXPECT_EQ(pump_->wait(), 0) << pump_->errors();
    EXPECT_TRUE(guest.front_end().is_closed());
    EXPECT_TRUE(link("tl0").is_null());
    EXPECT_FALSE(std::filesystem::exists(socket_));
}

INSTANTIATE_TEST_SUITE_P(Signals, PumpEnd, testing::Values(SIGTERM, SIGINT), [](const auto& test) {
    return test.param == SIGTERM ? "Terminate" : "Interrupt";
});

TEST_F(PumpStart, EndsWithOneSentenceWhenItsDeviceIsDeleted) {
    start(on_socket() + parent);
    Guest guest(FrontEnd::connect(socket_), {.features = PumpLab::usual});
    expect_frames_pass(station_, guest);
    run("ip link delete tl0");
    EXPECT_EQ(pump_->wait(), 1);
    EXPECT_THAT(pump_->errors(), HasSubstr("tl0"));
    EXPECT_FALSE(std::filesystem::exists(socket_));
}

TEST_F(PumpStart, GoesOnWhenAnotherDeviceIsDeleted) {
    start(on_socket() + parent);
    Guest guest(FrontEnd::connect(socket_), {.features = PumpLab::usual});
    run("ip link add link uplink name other0 type macvtap && ip link delete other0");
    expect_frames_pass(station_, guest);
}

TEST_F(PumpStart, AgainAfterSigkillHasTheSameDeviceAgain) {
    const Arguments same = {"--name", "web0"}; // And the same address.
    start(on_socket() + parent + same);
    pump_->signal(SIGKILL);
    ASSERT_EQ(pump_->wait(), 128 + SIGKILL);
    ASSERT_FALSE(link("web0").is_null()) << "nothing was left that could be in the way";
    start(on_socket() + parent + same);
    expect_to_serve(FrontEnd::connect(socket_));
    expect_to_end_well();
    EXPECT_TRUE(link("web0").is_null());
}

TEST_F(PumpStart, AgainWhileTheFirstRunsIsRefused) {
    const Arguments same = {"--name", "web0"};
    start(on_socket() + parent + same);
    const auto before = links();
    const Outcome refused = outcome_of(
        "iouring/tapline-pump", Arguments{"--socket-path", "/run/other.sock"} + parent + same);
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.errors, HasSubstr("'web0'"));
    EXPECT_EQ(links(), before);
    expect_to_end_well();
}

TEST_F(PumpStart, UsesAnExistingDeviceAndLeavesIt) {
    make_device();
    const auto before = links();
    start(on_socket() + Arguments{"--device", "web0"});
    expect_to_serve(FrontEnd::connect(socket_));
    expect_to_end_well();
    EXPECT_EQ(links(), before);
}

TEST_F(PumpStart, UsesTapQueuesOpenedByAnother) {
    make_device();
    {
        Netlink netlink = Netlink::open();
        const auto queues = open_queues(find_macvtap(netlink, "web0"), 2);
        const std::vector<int> fds = {queues[0].fd(), queues[1].fd()};
        start(on_socket() +
                  Arguments{"--tap-fds", std::to_string(fds[0]) + "," + std::to_string(fds[1])},
              fds);
    }
    EXPECT_EQ(listening_.at("device"), "web0");
    EXPECT_EQ(listening_.at("queue_pairs"), 2);
    expect_to_serve(FrontEnd::connect(socket_));
    expect_to_end_well();
    EXPECT_FALSE(link("web0").is_null());
}

TEST_F(PumpStart, ServesOneFrontEndAfterTheOtherOnAnInheritedListener) {
    const UniqueFd listener = make_listener(socket_);
    start(Arguments{"--json-status", "--fd", std::to_string(listener.get())} + parent,
          {listener.get()});
    expect_to_serve(FrontEnd::connect(socket_));
    expect_to_serve(FrontEnd::connect(socket_));
    expect_to_end_well();
    EXPECT_TRUE(std::filesystem::exists(socket_)) << "the listener is not the pump's to remove";
}

TEST_F(PumpStart, EndsWellWithTheOnlyFrontEndOfAConnectedSocket) {
    std::array<int, 2> ends{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    UniqueFd ours(ends[0]);
    UniqueFd its(ends[1]);
    start(Arguments{"--json-status", "--fd", std::to_string(its.get())} + parent, {its.get()});
    its.reset();
    expect_to_serve(FrontEnd(std::move(ours)));
    EXPECT_EQ(pump_->wait(), 0) << pump_->errors();
    EXPECT_TRUE(link("tl0").is_null());
}

struct Failure {
    std::string name;
    int status;
    Arguments arguments; // SOCKET stands for the path, FD for a descriptor that is no socket.
    std::string subject; // That the sentence names.
    friend void PrintTo(const Failure& failure, std::ostream* out) { *out << failure.name; }
};

class PumpStartFailures : public PumpStart, public testing::WithParamInterface<Failure> {
protected:
    Arguments arguments() const {
        Arguments all = GetParam().arguments;
        std::replace(all.begin(), all.end(), std::string("SOCKET"), socket_);
        std::replace(all.begin(), all.end(), std::string("FD"), std::to_string(eventfd_.get()));
        return all;
    }

    UniqueFd eventfd_ = fakes::make_eventfd();
};

TEST_P(PumpStartFailures, EndAtOnceWithOneSentenceAndLeaveNothing) {
    const auto before = links();
    const Outcome failed = outcome_of(pump_program, arguments(), {eventfd_.get()});
    EXPECT_EQ(failed.status, GetParam().status);
    EXPECT_EQ(failed.output, "");
    EXPECT_THAT(failed.errors, HasSubstr(GetParam().subject));
    EXPECT_EQ(failed.errors.find('\n'), failed.errors.size() - 1) << failed.errors;
    EXPECT_EQ(links(), before);
    EXPECT_FALSE(std::filesystem::exists(socket_));
}

INSTANTIATE_TEST_SUITE_P(
    Failures, PumpStartFailures,
    testing::Values(
        Failure{"ParentMissing", 1, {"--socket-path", "SOCKET", "--parent", "nosuch0"}, "nosuch0"},
        Failure{"SocketFolderMissing",
                1,
                {"--socket-path", "/tmp/nosuchfolder/pump.sock", "--parent", "uplink"},
                "/tmp/nosuchfolder/pump.sock"},
        Failure{"SocketPathTooLong",
                1,
                {"--socket-path", "/tmp/" + std::string(108, 'x'), "--parent", "uplink"},
                "xxxxxxxx"},
        Failure{"SocketPathEmpty", 1, {"--socket-path", "", "--parent", "uplink"}, "''"},
        Failure{"FdIsNoSocket", 1, {"--fd", "FD", "--parent", "uplink"}, "socket"},
        Failure{"FdIsNotOpen", 1, {"--fd", "999", "--parent", "uplink"}, "999"},
        Failure{"FdIsNoNumber", 1, {"--fd", "three", "--parent", "uplink"}, "three"},
        Failure{"TapFdIsNoTap", 1, {"--socket-path", "SOCKET", "--tap-fds", "FD"}, "tap queue"},
        Failure{"TapFdIsNotOpen", 1, {"--socket-path", "SOCKET", "--tap-fds", "999"}, "999"},
        Failure{"TapFdsEmpty", 1, {"--socket-path", "SOCKET", "--tap-fds", ""}, "tap descriptor"},
        Failure{"SameFdTwice", 1, {"--fd", "FD", "--tap-fds", "FD"}, "descriptor"},
        Failure{"DeviceMissing", 1, {"--socket-path", "SOCKET", "--device", "nosuch0"}, "nosuch0"},
        Failure{"DeviceIsNoMacvtap", 1, {"--socket-path", "SOCKET", "--device", "peer0"}, "peer0"},
        Failure{"QueuesZero",
                1,
                {"--socket-path", "SOCKET", "--parent", "uplink", "--queues", "0"},
                "'0'"},
        Failure{"QueuesTooManyForTheProtocol",
                1,
                {"--socket-path", "SOCKET", "--parent", "uplink", "--queues", "129"},
                "129"},
        Failure{"NoFrontEnd", 2, {"--parent", "uplink"}, "--socket-path"},
        Failure{"TwoFrontEnds",
                2,
                {"--socket-path", "SOCKET", "--fd", "FD", "--parent", "uplink"},
                "--socket-path"},
        Failure{"NoTap", 2, {"--socket-path", "SOCKET"}, "--parent"},
        Failure{"TwoTaps",
                2,
                {"--socket-path", "SOCKET", "--parent", "uplink", "--device", "web0"},
                "--parent"},
        Failure{"UnknownOption",
                2,
                {"--socket-path", "SOCKET", "--parent", "uplink", "--bogus"},
                "--bogus"},
        Failure{
            "StrayArgument", 2, {"--socket-path", "SOCKET", "--parent", "uplink", "web0"}, "web0"}),
    [](const auto& test) { return test.param.name; });

TEST_F(PumpStart, IsRefusedThePathOfALiveListener) {
    const UniqueFd listener = make_listener(socket_);
    const Outcome failed = outcome_of(pump_program, on_socket() + parent);
    EXPECT_EQ(failed.status, 1);
    EXPECT_THAT(failed.errors, HasSubstr(socket_));
    EXPECT_TRUE(link("tl0").is_null());
    EXPECT_TRUE(fakes::wait_readable(listener.get())) << "the path leads elsewhere now";
}

TEST_F(PumpStart, IsRefusedThePathOfAFile) {
    std::ofstream(socket_) << "precious";
    const Outcome failed = outcome_of(pump_program, on_socket() + parent);
    EXPECT_EQ(failed.status, 1);
    EXPECT_THAT(failed.errors, HasSubstr(socket_));
    EXPECT_TRUE(link("tl0").is_null());
    EXPECT_EQ(std::filesystem::file_size(socket_), 8);
}

} // namespace
} // namespace tapline::netns
