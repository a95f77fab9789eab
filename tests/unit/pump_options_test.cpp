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
    EXPECT_EQ(std::get<PumpOptions::ListenAt>(options.front_end).path, "/run/s");
    EXPECT_EQ(std::get<InterfaceSpec>(options.tap_queues).queue_pairs(), 4);
    EXPECT_FALSE(options.json_status);
}

TEST(PumpOptions, ClientConnectsOnceOrAgainAndAgain) {
    const auto front_end = [](const std::vector<std::string>& more) {
        std::vector<std::string> all = {"--socket-path=/run/s", "--parent=eth0", "--client"};
        all.insert(all.end(), more.begin(), more.end());
        return std::get<PumpOptions::ConnectTo>(parse(all).front_end);
    };
    EXPECT_EQ(front_end({}).path, "/run/s");
    EXPECT_FALSE(front_end({}).reconnect);
    EXPECT_EQ(front_end({"--reconnect=250"}).reconnect, std::chrono::milliseconds(250));
}

TEST(PumpOptions, ExpressLaneIsOffAutoOrOn) {
    const auto use = [](std::vector<std::string> arguments) {
        arguments.insert(arguments.end(), {"--socket-path=s", "--parent=eth0"});
        return parse(arguments).express_lane;
    };
    EXPECT_EQ(use({}), ExpressLaneUse::off);
    EXPECT_EQ(use({"--express-lane=off"}), ExpressLaneUse::off);
    EXPECT_EQ(use({"--express-lane=auto"}), ExpressLaneUse::where_possible);
    EXPECT_EQ(use({"--express-lane=on"}), ExpressLaneUse::required);
    EXPECT_THROW(use({"--express-lane=fast"}), Error);
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

TEST(PumpOptions, WithoutPolicyEverythingMayPass) {
    const auto policy = parse({"--socket-path=s", "--parent=eth0"}).policy;
    EXPECT_FALSE(policy.security);
    EXPECT_FALSE(policy.limits[0]);
    EXPECT_FALSE(policy.limits[1]);
}

TEST(PumpOptions, LimitsAreForADirectionEach) {
    const auto policy = parse({"--socket-path=s", "--device=tl0", "--limit-guest-to-wire=1mbit",
                               "--limit-wire-to-guest", "10kfps,burst=7f"})
                            .policy;
    constexpr auto out = static_cast<size_t>(Direction::guest_to_wire);
    constexpr auto in = static_cast<size_t>(Direction::wire_to_guest);
    EXPECT_EQ(policy.limits[out], RateLimit::Rates::parse("1mbit"));
    EXPECT_EQ(policy.limits[in], RateLimit::Rates::parse("10kfps,burst=7f"));
}

TEST(PumpOptions, AllowedSourcesTurnPortSecurityOn) {
    const auto rules = parse({"--socket-path=s", "--parent=eth0", "--allow-source-mac=own",
                              "--allow-source-mac=52:54:00:00:00:09", "--allow-source-ip=192.0.2.7",
                              "--allow-source-ip=2001:db8::/64", "--allow-dhcp-server"})
                           .policy.security.value();
    EXPECT_TRUE(rules.own_mac);
    EXPECT_EQ(rules.macs, std::vector{MacAddress::parse("52:54:00:00:00:09")});
    EXPECT_EQ(rules.addresses, (std::vector{IpPrefix::parse_source("192.0.2.7"),
                                            IpPrefix::parse_source("2001:db8::/64")}));
    EXPECT_TRUE(rules.dhcp_server);
    EXPECT_FALSE(rules.router_advertisements);
}

TEST(PumpOptions, PortSecurityAloneRefusesRoutersAndDhcpServers) {
    const auto rules =
        parse({"--socket-path=s", "--parent=eth0", "--port-security"}).policy.security.value();
    EXPECT_FALSE(rules.own_mac);
    EXPECT_TRUE(rules.macs.empty());
    EXPECT_TRUE(rules.addresses.empty());
    EXPECT_FALSE(rules.dhcp_server);
    EXPECT_FALSE(rules.router_advertisements);
}

TEST(PumpOptions, PolicyThatMeansNothingIsRefused) {
    for (const char* option : {"--allow-dhcp-server", "--allow-router-advertisements"}) {
        EXPECT_THROW(parse({"--socket-path=s", "--parent=eth0", option}), UsageError);
    }
    for (const char* option : {"--limit-guest-to-wire=fast", "--limit-wire-to-guest=0mbit",
                               "--allow-source-mac=mine", "--allow-source-mac=01:00:5e:00:00:01",
                               "--allow-source-ip=guest", "--allow-source-ip=192.0.2.7/24"}) {
        EXPECT_THROW(parse({"--socket-path=s", "--parent=eth0", option}), Error) << option;
    }
    std::vector<std::string> many(258, "--allow-source-ip=192.0.2.7");
    many[0] = "--socket-path=s";
    EXPECT_THROW(parse(many), Error);
}

} // namespace
} // namespace tapline
