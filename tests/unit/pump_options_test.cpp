#include "iouring/pump_options.h"

#include "backend/base/error.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <string>
#include <variant>
#include <vector>

namespace tapline {
namespace {

using testing::HasSubstr;

PumpOptions parse(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "tapline-pump");
    return parse_pump_options(arguments);
}

// A descriptor as a parent process would leave it open for us.
int inherited_fd() {
    return eventfd(0, 0);
}

TEST(PumpOptions, SocketPathAndParentMakeADevice) {
    const PumpOptions options = parse({"--socket-path=/run/s", "--parent=eth0", "--queues=4"});
    EXPECT_EQ(std::get<std::string>(options.front_end), "/run/s");
    EXPECT_EQ(std::get<InterfaceSpec>(options.tap_queues).queue_pairs(), 4);
    EXPECT_FALSE(options.json_status);
}

TEST(PumpOptions, DeviceIsUsedWithAsManyQueues) {
    const PumpOptions options =
        parse({"--socket-path=s", "--device", "tl0", "--queues", "2", "--json-status"});
    const auto& device = std::get<PumpOptions::ExistingDevice>(options.tap_queues);
    EXPECT_EQ(device.name, "tl0");
    EXPECT_EQ(device.queue_pairs, 2);
    EXPECT_TRUE(options.json_status);
}

TEST(PumpOptions, InheritedDescriptorsAreTakenAndNotPassedOn) {
    const int socket = inherited_fd();
    const int first = inherited_fd();
    const int second = inherited_fd();
    const PumpOptions options =
        parse({fmt::format("--fd={}", socket), fmt::format("--tap-fds={},{}", first, second)});
    EXPECT_EQ(std::get<UniqueFd>(options.front_end).get(), socket);
    const auto& taps = std::get<std::vector<UniqueFd>>(options.tap_queues);
    ASSERT_EQ(taps.size(), 2u);
    EXPECT_EQ(taps[0].get(), first);
    EXPECT_EQ(taps[1].get(), second);
    for (const int fd : {socket, first, second}) {
        EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    }
}

TEST(PumpOptions, CapabilitiesNeedNothingElse) {
    EXPECT_TRUE(parse({"--print-capabilities"}).print_capabilities);
}

TEST(PumpOptions, OneFrontEndAndOneSourceOfQueuesAreNeeded) {
    const std::vector<std::vector<std::string>> wrong = {
        {},
        {"--parent=eth0"},
        {"--socket-path=s"},
        {"--socket-path=s", "--fd=0", "--parent=eth0"},
        {"--socket-path=s", "--parent=eth0", "--device=tl0"},
        {"--socket-path=s", "--parent=eth0", "--tap-fds=0"},
        {"--socket-path=s", "--parent=eth0", "stray"},
    };
    for (const auto& arguments : wrong) {
        EXPECT_THROW(parse(arguments), UsageError) << fmt::format("{}", fmt::join(arguments, " "));
    }
}

std::string refusal(const std::vector<std::string>& arguments) {
    try {
        parse(arguments);
    } catch (const Error& error) {
        return error.what();
    }
    return "taken";
}

TEST(PumpOptions, QueuePairsAreBoundedByTheProtocol) {
    const std::string sentence = "read number of queues '129': not a number from 1 to 128";
    EXPECT_EQ(refusal({"--socket-path=s", "--parent=eth0", "--queues=129"}), sentence);
    EXPECT_EQ(refusal({"--socket-path=s", "--device=tl0", "--queues=129"}), sentence);
}

TEST(PumpOptions, DescriptorThatIsNotOpenIsRefused) {
    EXPECT_THAT(refusal({"--fd=1000000", "--parent=eth0"}),
                HasSubstr("use socket descriptor 1000000: Bad file descriptor"));
}

TEST(PumpOptions, DescriptorListThatIsNoneIsRefused) {
    for (const char* text : {"", "a", ",", "-1"}) {
        EXPECT_THAT(refusal({"--socket-path=s", std::string("--tap-fds=") + text}),
                    HasSubstr("read tap descriptor"))
            << text;
    }
}

} // namespace
} // namespace tapline
