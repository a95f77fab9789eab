// What libvirt is told of an interface that is attached, and how its metadata is kept.
#include "hooks/libvirt/attachment.h"

#include "backend/base/error.h"
#include "hooks/libvirt/card.h"
#include "hooks/libvirt/metadata_entries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace tapline::libvirt {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const MacAddress first = MacAddress::parse("52:54:00:00:00:01");
const MacAddress second = MacAddress::parse("52:54:00:00:00:02");

Attachment::Request request(xml::InterfaceKind kind) {
    Attachment::Request request{.kind = kind, .text = {}, .pump_options = {}};
    request.text.parent = "eth0";
    request.text.mac = first.text();
    return request;
}

TEST(Attachment, AHandoffNamesItsDevice) {
    auto asked = request(xml::InterfaceKind::ethernet);
    asked.text.queues = "4";
    asked.text.mtu = "9000";
    const Attachment made = Attachment::of(asked);
    EXPECT_EQ(made.interface_xml,
              "<interface type='ethernet'><mac address='52:54:00:00:00:01'/>"
              "<target dev='tl525400000001' managed='no'/><model type='virtio'/>"
              "<driver queues='4'/><mtu size='9000'/></interface>");
    EXPECT_EQ(made.metadata_xml, "<interface mac='52:54:00:00:00:01' parent='eth0' mtu='9000'/>");
    EXPECT_EQ(made.plan.spec.queue_pairs(), 4);
    EXPECT_EQ(made.plan.spec.name(), "tl525400000001");
    EXPECT_FALSE(made.plan.socket);
}

// Not a line of XML that nobody wrote.
TEST(Attachment, ThatIsAskedForWronglyIsToldByTheOption) {
    using Text = std::optional<std::string> InterfaceText::*;
    for (const auto& [option, value, cause] :
         std::vector<std::tuple<Text, const char*, const char*>>{
             {&InterfaceText::queues, "0", "read number of queues '0'"},
             {&InterfaceText::queues, "300", "read number of queues '300'"},
             {&InterfaceText::mtu, "9k", "read MTU '9k'"},
             {&InterfaceText::queue_length, "-1", "read queue length '-1'"},
             {&InterfaceText::mode, "bridged", "read mode 'bridged'"}}) {
        auto asked = request(xml::InterfaceKind::ethernet);
        asked.text.*option = value;
        try {
            (void)Attachment::of(asked);
            FAIL() << value;
        } catch (const Error& error) {
            EXPECT_THAT(error.what(), testing::StartsWith(cause));
        }
    }
}

TEST(Attachment, ADeviceMayHaveItsParentsAddress) {
    auto asked = request(xml::InterfaceKind::ethernet);
    asked.text.mode = "passthru";
    const Attachment made = Attachment::of(asked);
    EXPECT_EQ(made.mac, first);
    EXPECT_FALSE(made.plan.spec.mac());
}

TEST(Attachment, ARunningGuestHasNoUseForABootRom) {
    const Attachment made = Attachment::of(request(xml::InterfaceKind::ethernet));
    EXPECT_THAT(made.plugged_xml, HasSubstr("<rom enabled='no'/>"));
    EXPECT_THAT(made.interface_xml, Not(HasSubstr("rom")));
}

TEST(Attachment, APumpHasASocketThatQemuListensOn) {
    auto asked = request(xml::InterfaceKind::vhostuser);
    asked.pump_options = {"--limit-guest-to-wire=1gbit", "--allow-source-ip=192.0.2.1",
                          "--allow-source-ip=192.0.2.2", "--allow-dhcp-server"};
    const Attachment made = Attachment::of(asked);
    EXPECT_THAT(made.interface_xml, AllOf(HasSubstr("type='vhostuser'"),
                                          HasSubstr("525400000001.sock' mode='server'")));
    EXPECT_THAT(made.plan.pump_options, testing::IsSupersetOf(asked.pump_options));
}

TEST(Attachment, WhatWasAskedForIsReadBackAsItWas) {
    auto asked = request(xml::InterfaceKind::ethernet);
    asked.text.parent = "a&<'\"b";
    asked.text.name = "x'y";
    asked.text.mode = "source";
    asked.text.allow = {first.text(), second.text()};
    asked.text.multicast = "joined";
    asked.trusts_mac = true;
    const Attachment made = Attachment::of(asked);
    EXPECT_EQ(made.plan.spec.parent(), "a&<'\"b");
    EXPECT_EQ(made.plan.spec.name(), "x'y");
    EXPECT_THAT(made.plan.spec.allowed_macs(), ElementsAre(first, second));
    EXPECT_EQ(made.plan.spec.multicast(), MulticastPolicy::joined);
    EXPECT_THAT(made.metadata_xml, HasSubstr("trust-guest-rx-filters='yes'"));
}

TEST(Attachment, WhatNoHostCanGiveIsRefused) {
    auto wrong_mode = request(xml::InterfaceKind::ethernet);
    wrong_mode.text.mode = "tunnel";
    EXPECT_THROW(Attachment::of(wrong_mode), Error);

    auto pumpless = request(xml::InterfaceKind::ethernet);
    pumpless.pump_options = {"--port-security"};
    EXPECT_THROW(Attachment::of(pumpless), Error);

    auto reserved = request(xml::InterfaceKind::ethernet);
    reserved.text.name = "macvtap0";
    EXPECT_THROW(Attachment::of(reserved), Error);
}

TEST(MetadataEntries, OneIsAddedAndRemovedAmongOthers) {
    auto entries = MetadataEntries::parse("<interfaces><added memory='yes'/><interface "
                                          "mac='52:54:00:00:00:01'><pump x='1'/></interface>"
                                          "</interfaces>");
    entries.add(second, "<interface mac='52:54:00:00:00:02'/>");
    EXPECT_EQ(entries.text("interfaces"),
              "<interfaces><added memory=\"yes\"/><interface mac=\"52:54:00:00:00:01\"><pump "
              "x=\"1\"/></interface><interface mac='52:54:00:00:00:02'/></interfaces>");
    ASSERT_NE(entries.find(first), nullptr);
    entries.remove(first);
    EXPECT_EQ(entries.find(first), nullptr);
    EXPECT_NE(entries.find(second), nullptr);
}

TEST(MetadataEntries, WithTheLastCardTheElementGoes) {
    auto entries = MetadataEntries::parse("<interfaces><added memory='yes'/><interface "
                                          "mac='52:54:00:00:00:01'/></interfaces>");
    entries.remove(first);
    EXPECT_EQ(entries.text("interfaces"), std::nullopt);
    EXPECT_EQ(MetadataEntries::parse(std::nullopt).text("interfaces"), std::nullopt);
}

TEST(Cards, ThoseThatWerePassedAreReadAsTheyWereWritten) {
    const Card passed{.way = Way::fds,
                      .mac = first,
                      .id = "tapline-525400000001",
                      .device = "tl'0",
                      .queue_pairs = 4,
                      .policy = {.multicast = MulticastPolicy::joined, .trusts_mac = true}};
    MetadataEntries entries;
    entries.add(first, to_metadata(passed));
    const auto read = passed_cards(entries.text(passed_entries.root));
    ASSERT_EQ(read.size(), 1U);
    EXPECT_EQ(read[0].mac, first);
    EXPECT_EQ(read[0].id, passed.id);
    EXPECT_EQ(read[0].device, passed.device);
    EXPECT_EQ(read[0].queue_pairs, 4);
    EXPECT_EQ(read[0].policy.multicast, MulticastPolicy::joined);
    EXPECT_TRUE(read[0].policy.trusts_mac);
    EXPECT_THROW(passed_cards("<cards><card mac='52:54:00:00:00:01' queues='1'/></cards>"), Error);
}

TEST(Cards, EachFormOfAnInterfaceHasItsPolicy) {
    const auto domain = xml::Domain::parse(
        "<domain><name>a</name><metadata><interfaces xmlns='urn:tapline:domain:1'>"
        "<interface mac='52:54:00:00:00:01' parent='eth0' multicast='joined' "
        "trust-guest-rx-filters='yes'/></interfaces></metadata><devices>"
        "<interface type='ethernet'><mac address='52:54:00:00:00:01'/>"
        "<target dev='tl1' managed='no'/><model type='virtio-transitional'/>"
        "<alias name='net0'/></interface>"
        "<interface type='direct' trustGuestRxFilters='yes'><mac address='52:54:00:00:00:02'/>"
        "<source dev='eth0'/><target dev='macvtap0'/><model type='e1000e'/><alias "
        "name='net1'/></interface>"
        "<interface type='ethernet'><mac address='52:54:00:00:00:03'/>"
        "<target dev='tap7' managed='no'/></interface></devices></domain>",
        "a.xml");
    const std::vector<Card> cards = cards_of(domain, MulticastPolicy::none);
    ASSERT_EQ(cards.size(), 2U); // The last is somebody else's.
    EXPECT_EQ(cards[0].way, Way::handoff);
    EXPECT_EQ(cards[0].id, "net0");
    EXPECT_EQ(cards[0].device, "tl1");
    EXPECT_EQ(cards[0].policy.multicast, MulticastPolicy::joined);
    EXPECT_TRUE(cards[0].policy.trusts_mac);
    EXPECT_TRUE(cards[0].tells_filter);
    EXPECT_EQ(cards[1].way, Way::direct);
    EXPECT_TRUE(cards[1].libvirt_follows);
    EXPECT_EQ(cards[1].policy.multicast, MulticastPolicy::none);
    EXPECT_FALSE(cards[1].policy.trusts_mac);
    EXPECT_FALSE(cards[1].tells_filter);
}

} // namespace
} // namespace tapline::libvirt
