#include "backend/macvtap_device.h"

#include "backend/base/error.h"
#include "backend/json.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace tapline {
namespace {

MacvtapDevice some_device() {
    return {.name = "tl0",
            .index = 7,
            .parent = "eth0",
            .mode = MacvlanMode::private_mode,
            .mac = MacAddress::parse("52:54:00:12:34:56"),
            .mtu = 1500,
            .queue_length = 1024,
            .broadcast_queue_length = 1000,
            .up = true};
}

TEST(MacvtapDevice, JsonKeysAndTheirOrderAreTheContract) {
    EXPECT_EQ(to_json(some_device()).dump(),
              R"({"device":"tl0","index":7,"kind":"macvtap","parent":"eth0","mode":"private",)"
              R"("broadcast_queue_length":1000,"mac":"52:54:00:12:34:56","mtu":1500,)"
              R"("queue_length":1024,"up":true})");
}

TEST(MacvtapDevice, JsonTellsWhatOnlyItsModeOrKindHas) {
    MacvtapDevice device = some_device();
    device.mode = MacvlanMode::source;
    device.allowed_macs = {MacAddress::parse("52:54:00:00:00:01")};
    EXPECT_EQ(to_json(device).at("allowed_macs").dump(), R"(["52:54:00:00:00:01"])");
    device.mode = MacvlanMode::passthru;
    device.promiscuity = Promiscuity::unchanged;
    EXPECT_EQ(to_json(device).at("promiscuous"), false);
    EXPECT_FALSE(to_json(device).contains("allowed_macs"));
    device.kind = DeviceKind::ipvtap;
    device.layer = IpvlanLayer::l3s;
    EXPECT_EQ(to_json(device).at("layer"), "l3s");
}

// The loopback interface is in every network namespace, and a macvtap it never is.
TEST(MacvtapDevice, AnotherKindOfLinkIsNotFoundAsOne) {
    Netlink netlink = Netlink::open();
    try {
        find_macvtap(netlink, "lo");
        FAIL() << "the loopback interface passed for a macvtap";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(),
                     "find macvtap 'lo': the interface is no macvtap (see `tapline list`)");
    }
}

TEST(MacvtapDevice, ALinkThatDoesNotExistIsNotFound) {
    Netlink netlink = Netlink::open();
    EXPECT_EQ(netlink.link("no-such-link"), std::nullopt);
    try {
        find_macvtap(netlink, "no-such-link");
        FAIL() << "a link that does not exist was found";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(),
                     "find macvtap 'no-such-link': no such interface (see `tapline list`)");
    }
}

TEST(MacvtapDevice, LinksAreReadByName) {
    Netlink netlink = Netlink::open();
    const auto link = netlink.link("lo");
    ASSERT_TRUE(link);
    EXPECT_EQ(link->name, "lo");
    EXPECT_EQ(netlink.link(link->index)->name, "lo");
}

TEST(MacvtapDevice, NeverMadeOnTheLoopbackInterface) {
    Netlink netlink = Netlink::open();
    try {
        OwnedMacvtap::create(netlink, InterfaceSpec::parse({.parent = "lo"}));
        FAIL() << "a macvtap was made on the loopback interface";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "create macvtap on 'lo': the loopback interface carries no "
                                   "Ethernet (name an Ethernet interface)");
    }
}

TEST(MacvtapDevice, NeverMadeOnAParentThatDoesNotExist) {
    Netlink netlink = Netlink::open();
    try {
        OwnedMacvtap::create(netlink, InterfaceSpec::parse({.parent = "no-such-link"}));
        FAIL() << "a macvtap was made on nothing";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(),
                     "create macvtap on 'no-such-link': no such interface (see `ip link`)");
    }
}

} // namespace
} // namespace tapline
