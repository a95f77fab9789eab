#include "backend/macvtap_device.h"

#include "backend/base/error.h"
#include "backend/json.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace tapline {
namespace {

TEST(MacvtapDevice, JsonKeysAndTheirOrderAreTheContract) {
    const MacvtapDevice device{.name = "tl0",
                               .index = 7,
                               .parent = "eth0",
                               .mode = MacvlanMode::private_mode,
                               .mac = MacAddress::parse("52:54:00:12:34:56"),
                               .mtu = 1500,
                               .queue_length = 1024,
                               .up = true,
                               .ours = true};
    EXPECT_EQ(to_json(device).dump(),
              R"({"device":"tl0","index":7,"parent":"eth0","mode":"private",)"
              R"("mac":"52:54:00:12:34:56","mtu":1500,"queue_length":1024,"up":true})");
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
    EXPECT_EQ(netlink.link("no-such-link"), nullptr);
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
    const RtnlLink link = netlink.link("lo");
    ASSERT_NE(link, nullptr);
    EXPECT_STREQ(rtnl_link_get_name(link.get()), "lo");
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

TEST(MacvtapDevice, WhatIsNotBuiltYetIsRefusedBeforeTheKernelIsAsked) {
    Netlink netlink = Netlink::open();
    const auto refusal = [&](const InterfaceText& text) -> std::string {
        try {
            OwnedMacvtap::create(netlink, InterfaceSpec::parse(text));
        } catch (const Error& error) {
            return error.what();
        }
        return "taken";
    };
    const std::string begin = "create device on 'no-such-link': ";
    EXPECT_EQ(refusal({.parent = "no-such-link", .kind = "ipvtap"}),
              begin + "kind ipvtap is not supported yet");
    EXPECT_EQ(refusal({.parent = "no-such-link", .mode = "source"}),
              begin + "mode source is not supported yet");
    EXPECT_EQ(refusal({.parent = "no-such-link", .multicast = "none"}),
              begin + "multicast policy none is not supported yet");
}

} // namespace
} // namespace tapline
