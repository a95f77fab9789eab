// Which groups reach a guest under each multicast policy, and that nothing else is kept from it.
#include "tests/netns/lab.h"
#include "tests/netns/program.h"
#include "tests/netns/tap_guest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <linux/if_ether.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace tapline::netns {
namespace {

using testing::Contains;
using testing::IsSupersetOf;

constexpr Mac broadcast_mac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr Mac all_hosts = {0x01, 0x00, 0x5e, 0x00, 0x00, 0x01}; // 224.0.0.1; the kernel joins it.
constexpr Mac joined_group = {0x01, 0x00, 0x5e, 0x01, 0x02, 0x03};

// Some of IPv6, and those that differ from broadcast in one byte.
std::vector<Mac> groups_nobody_joined() {
    std::vector<Mac> groups(broadcast_mac.size(), broadcast_mac);
    for (size_t i = 0; i < groups.size(); ++i) {
        groups.at(i).at(i) = 0xfd;
    }
    for (uint8_t i = 0; i < 64; ++i) {
        groups.push_back({0x33, 0x33, 0, 0, 1, i});
    }
    return groups;
}

Mac destination_of(const Bytes& frame) {
    Mac to{};
    std::ranges::transform(frame.begin(), frame.begin() + ETH_ALEN, to.begin(),
                           [](std::byte byte) { return std::to_integer<uint8_t>(byte); });
    return to;
}

class Multicast : public testing::TestWithParam<std::tuple<std::string, std::string>> {
protected:
    Multicast() {
        std::vector<std::string> arguments = {"create", "--parent",    "uplink", "--mode",
                                              mode(),   "--multicast", policy()};
        if (mode() == "source") {
            arguments.insert(arguments.end(), {"--allow", "52:54:00:00:00:02"});
        }
        const Outcome created = outcome_of("backend/tapline", arguments);
        EXPECT_EQ(created.status, 0) << created.errors;
        run("ip maddress add 01:00:5e:01:02:03 dev tl0");
        guest_.emplace("tl0");
    }

    static std::string mode() { return std::get<0>(GetParam()); }
    static std::string policy() { return std::get<1>(GetParam()); }

    void send(const Mac& to) {
        peer_.send(with_header(frame_between(to, peer_mac, 0), Station::header_bytes));
    }

    // Where the frames were sent to that come before a broadcast, which is sent last: no frame of
    // a group stays behind it.
    std::set<Mac> arrivals() {
        send(broadcast_mac);
        std::set<Mac> all;
        while (const auto frame = guest_->receive()) {
            if (destination_of(*frame) == broadcast_mac) {
                return all;
            }
            all.insert(destination_of(*frame));
        }
        ADD_FAILURE() << "the broadcast does not arrive";
        return all;
    }

    Wire wire_;
    Station peer_{"peer0"};
    std::optional<TapGuest> guest_;
};

TEST_P(Multicast, ArrivesAsThePolicySays) {
    for (const Mac& to : {guest_->mac(), all_hosts, joined_group}) {
        send(to);
    }
    const std::vector<Mac> others = groups_nobody_joined();
    std::ranges::for_each(others, [&](const Mac& to) { send(to); });
    const std::set<Mac> arrived = arrivals();
    const auto strays =
        std::ranges::count_if(others, [&](const Mac& to) { return arrived.contains(to); });
    const auto count = static_cast<ptrdiff_t>(others.size());
    EXPECT_THAT(arrived, Contains(guest_->mac()));
    if (policy() == "none") {
        EXPECT_EQ(arrived.size(), 1U);
        return;
    }
    EXPECT_THAT(arrived, IsSupersetOf({all_hosts, joined_group}));
    if (policy() == "all" || mode() == "source") { // Which takes all from whom it listens to.
        EXPECT_EQ(strays, count);
    } else { // The kernel compares groups by a hash of 8 bits, so some pass by chance.
        EXPECT_LT(strays, count / 4);
    }
}

INSTANTIATE_TEST_SUITE_P(
    Policies, Multicast,
    testing::Combine(testing::Values("bridge", "vepa", "private", "passthru", "source"),
                     testing::Values("all", "joined", "none")),
    [](const auto& test) { return std::get<0>(test.param) + "_" + std::get<1>(test.param); });

} // namespace
} // namespace tapline::netns
