// What a domain's metadata says of interfaces that have no place for it themselves.
#include "backend/base/error.h"
#include "xml/domain.h"
#include "xml/domain_json.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tapline::xml {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto pump = "<interface type='vhostuser'><mac address='52:54:00:12:34:56'/>"
                      "<source type='unix' path='/run/a.sock' mode='server'/>{}</interface>";
constexpr auto handoff = "<interface type='ethernet'><mac address='52:54:00:12:34:56'/>"
                         "<target dev='tap7' managed='no'/></interface>";

std::string with_metadata(const std::string& interfaces, const std::string& metadata) {
    return fmt::format("<domain><name>a</name><metadata>\n"
                       "<tapline:interfaces xmlns:tapline='urn:tapline:domain:1'>\n{}\n"
                       "</tapline:interfaces></metadata>\n<devices>{}</devices></domain>",
                       metadata, interfaces);
}

std::string pump_with(const std::string& more = "") {
    return fmt::format(pump, more);
}

Interface only_interface(const std::string& interface, const std::string& metadata) {
    const Domain domain = Domain::parse(with_metadata(interface, metadata), "a.xml");
    EXPECT_EQ(domain.interfaces.size(), 1);
    return domain.interfaces.at(0);
}

std::string refusal_of(const std::string& interfaces, const std::string& metadata) {
    try {
        Domain::parse(with_metadata(interfaces, metadata), "a.xml");
    } catch (const Error& error) {
        return error.what();
    }
    return "nothing was refused";
}

// One entry for the interface above, on line 3.
std::string entry(const std::string& attributes, const std::string& body = "") {
    return fmt::format("<tapline:interface mac='52:54:00:12:34:56' {}>\n{}</tapline:interface>",
                       attributes, body);
}

TEST(DomainMetadata, DescribesTheDeviceOfAPump) {
    const Interface interface =
        only_interface(pump_with("<driver queues='4'/><mtu size='1400'/>"),
                       entry("parent='eth0' mode='source' multicast='joined' queue-length='512' "
                             "broadcast-queue-length='2000' owner='0:0' node-mode='600' "
                             "trust-guest-rx-filters='yes'",
                             "<tapline:allow mac='52:54:00:00:00:01'/>"
                             "<tapline:allow mac='52:54:00:00:00:02'/>"));
    ASSERT_TRUE(interface.device);
    EXPECT_TRUE(interface.trust_guest_rx_filters);
    EXPECT_TRUE(interface.socket_server);
    const InterfaceSpec spec = InterfaceSpec::parse(*interface.device);
    EXPECT_EQ(spec.parent(), "eth0");
    EXPECT_EQ(spec.name(), "tl525400123456");
    EXPECT_EQ(spec.mac(), interface.mac);
    EXPECT_EQ(spec.mode(), MacvlanMode::source);
    EXPECT_EQ(spec.multicast(), MulticastPolicy::joined);
    EXPECT_EQ(spec.mtu(), 1400);
    EXPECT_EQ(spec.queue_pairs(), 4);
    EXPECT_EQ(spec.queue_length(), 512);
    EXPECT_EQ(spec.broadcast_queue_length(), 2000);
    EXPECT_EQ(spec.node_mode(), 0600);
    EXPECT_THAT(spec.allowed_macs(), testing::SizeIs(2));
}

TEST(DomainMetadata, DescribesTheDeviceOfAHandOffWhoseNameLibvirtKnows) {
    const Interface interface = only_interface(handoff, entry("parent='eth0' mtu='9000'"));
    const InterfaceSpec spec = InterfaceSpec::parse(interface.device.value());
    EXPECT_EQ(spec.name(), "tap7");
    EXPECT_EQ(spec.mode(), MacvlanMode::bridge);
    EXPECT_EQ(spec.mtu(), 9000);
    EXPECT_FALSE(interface.trust_guest_rx_filters);
}

TEST(DomainMetadata, TakesThePumpsDeviceNameFromTargetUnlessLibvirtMadeItUp) {
    const auto name = [](const std::string& target) {
        return *only_interface(pump_with("<target dev='" + target + "'/>"), entry("parent='eth0'"))
                    .device->name;
    };
    EXPECT_EQ(name("web1"), "web1");
    EXPECT_EQ(name("macvtap3"), "tl525400123456");
    EXPECT_EQ(name("vnet0"), "tl525400123456");
}

TEST(DomainMetadata, LeavesTheParentsAddressToDevicesThatHaveIt) {
    for (const char* attributes : {"parent='eth0' mode='passthru' nopromisc='yes'",
                                   "parent='eth0' kind='ipvtap' layer='l3'"}) {
        EXPECT_FALSE(only_interface(pump_with(), entry(attributes)).device->mac);
    }
}

TEST(DomainMetadata, HoldsOptionsOfThePump) {
    const Interface interface = only_interface(
        pump_with(),
        entry("parent='eth0'", "<tapline:pump limit-guest-to-wire='100mbit' port-security='yes' "
                               "allow-dhcp-server='no' allow-source-mac='own'/>"
                               "<tapline:pump allow-source-mac='52:54:00:00:00:01'/>"));
    EXPECT_THAT(interface.pump_options,
                ElementsAre("--limit-guest-to-wire=100mbit", "--port-security",
                            "--allow-source-mac=own", "--allow-source-mac=52:54:00:00:00:01"));
}

TEST(DomainMetadata, ReadsTheSameAsJson) {
    const auto json = to_json(
        Domain::parse(with_metadata(pump_with(), entry("parent='eth0' mode='source'",
                                                       "<tapline:allow mac='52:54:00:00:00:01'/>"
                                                       "<tapline:pump port-security='yes'/>")),
                      "a.xml"));
    EXPECT_EQ(json["interfaces"][0]["device"].dump(),
              R"({"name":"tl525400123456","parent":"eth0","kind":"macvtap","mode":"source",)"
              R"("mac":"52:54:00:12:34:56","mtu":null,"queues":1,"queue_length":1024,)"
              R"("multicast":"all","allowed_macs":["52:54:00:00:00:01"]})");
    EXPECT_EQ(json["interfaces"][0]["pump_options"].dump(), R"(["--port-security"])");
}

TEST(DomainMetadata, OfOthersSaysNothing) {
    const std::string text =
        "<domain><name>a</name><metadata><x:interfaces xmlns:x='urn:x'><x:interface/>"
        "</x:interfaces></metadata><devices>" +
        pump_with() + "</devices></domain>";
    EXPECT_FALSE(Domain::parse(text, "a.xml").interfaces.at(0).device);
}

TEST(DomainMetadataRefuses, WhatItDoesNotKnow) {
    EXPECT_EQ(refusal_of(pump_with(), entry("parent='eth0' moed='vepa'")),
              "read domain XML a.xml, line 3: metadata has no attribute 'moed' here "
              "(see tapline-xml(1) for those it has)");
    EXPECT_THAT(refusal_of(pump_with(), entry("parent='eth0'", "<tapline:pump fd='3'/>")),
                HasSubstr("line 4: metadata has no attribute 'fd' here"));
    EXPECT_THAT(refusal_of(pump_with(), entry("parent='eth0'", "<tapline:allow ip='1'/>")),
                HasSubstr("line 4: metadata has no attribute 'ip' here"));
    EXPECT_THAT(
        refusal_of(pump_with(), entry("parent='eth0'", "<tapline:deny/>")),
        HasSubstr("line 4: metadata of an interface has no element <deny> (see tapline-xml(1)"));
    EXPECT_THAT(
        refusal_of(pump_with(), entry("parent='eth0'", "<tapline:allow><b/></tapline:allow>")),
        HasSubstr("line 4: this element of the metadata has no element <b>"));
    EXPECT_THAT(refusal_of(pump_with(), "<interface/>"),
                HasSubstr("line 3: metadata of a domain has no element <interface>"));
}

TEST(DomainMetadataRefuses, Text) {
    const std::string known = entry("parent='eth0'");
    EXPECT_EQ(refusal_of(handoff, entry("parent='eth0'", "mode=vepa")),
              "read domain XML a.xml, line 3: metadata holds text in <interface> "
              "(remove it: settings are attributes, see tapline-xml(1))");
    EXPECT_THAT(refusal_of(handoff, known + "<![CDATA[a]]>"), HasSubstr("text in <interfaces>"));
    EXPECT_THAT(refusal_of(pump_with(), entry("parent='eth0'", "<tapline:pump>a</tapline:pump>")),
                HasSubstr("line 4: metadata holds text in <pump>"));
    EXPECT_EQ(refusal_of(handoff, known + " <!-- a -->"), "nothing was refused");
}

TEST(DomainMetadataRefuses, AddressesThatDoNotNameOneInterface) {
    EXPECT_THAT(refusal_of("", entry("parent='eth0'")),
                AllOf(HasSubstr("line 3: no interface of type vhostuser"),
                      HasSubstr("has MAC address 52:54:00:12:34:56")));
    EXPECT_THAT(refusal_of("<interface type='direct'><mac address='52:54:00:12:34:56'/>"
                           "<source dev='eth0'/></interface>",
                           entry("parent='eth0'")),
                HasSubstr("line 3: no interface of type vhostuser"));
    EXPECT_THAT(refusal_of(pump_with() + "\n" + handoff, entry("parent='eth0'")),
                HasSubstr("line 3: two interfaces have MAC address 52:54:00:12:34:56, on lines 6 "
                          "and 7"));
    EXPECT_THAT(refusal_of(pump_with(), entry("parent='eth0'") + entry("parent='eth1'")),
                HasSubstr("line 4: metadata describes MAC address 52:54:00:12:34:56 twice"));
    EXPECT_THAT(refusal_of(pump_with(), "<tapline:interface parent='eth0'/>"),
                HasSubstr("line 3: metadata names no MAC address"));
    EXPECT_THAT(refusal_of(pump_with(), "<tapline:interface mac='x' parent='eth0'/>"),
                HasSubstr("line 3: read MAC address 'x'"));
}

TEST(DomainMetadataRefuses, ASecondElement) {
    EXPECT_THAT(refusal_of(handoff, entry("parent='eth0'") +
                                        "</tapline:interfaces>\n<t:interfaces "
                                        "xmlns:t='urn:tapline:domain:1'/><tapline:interfaces "
                                        "xmlns:tapline='urn:tapline:domain:1'>"),
                HasSubstr("line 5: there is such an element before it, and libvirt keeps one"));
}

TEST(DomainMetadataRefuses, WhatATerminalObeys) {
    EXPECT_THAT(refusal_of(handoff, entry("parent='&#x9b;31m'")),
                HasSubstr("line 3: it holds a control character"));
}

TEST(DomainMetadataRefuses, DevicesThatCannotBe) {
    EXPECT_THAT(refusal_of(pump_with(), entry("mode='bridge'")),
                HasSubstr("line 3: read interface: no parent interface was named"));
    EXPECT_THAT(refusal_of(pump_with(), entry("parent='eth0' mode='open'")),
                HasSubstr("line 3: read mode 'open': not one of"));
    EXPECT_THAT(refusal_of(pump_with(), entry("parent='eth0' nopromisc='1'")),
                HasSubstr("line 3: nopromisc '1' is neither yes nor no"));
    EXPECT_THAT(refusal_of(pump_with("<target dev='-a'/>"), entry("parent='eth0'")),
                HasSubstr("line 3: use device name '-a'"));
}

TEST(DomainMetadataRefuses, OptionsThatNoPumpTakes) {
    EXPECT_THAT(refusal_of(pump_with(),
                           entry("parent='eth0'", "<tapline:pump limit-wire-to-guest='fast'/>")),
                HasSubstr("line 3: read rate limit 'fast'"));
    EXPECT_THAT(
        refusal_of(pump_with(), entry("parent='eth0'", "<tapline:pump allow-dhcp-server='yes'/>")),
        HasSubstr("line 3: without port security there is nothing to allow"));
    EXPECT_THAT(refusal_of(handoff, entry("parent='eth0'", "<tapline:pump port-security='yes'/>")),
                HasSubstr("line 3: options of a pump, but the interface has none"));
}

} // namespace
} // namespace tapline::xml
