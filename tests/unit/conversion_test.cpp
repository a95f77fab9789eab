// What an interface becomes in another form, what is refused, and what comes back after changes.
#include "backend/base/error.h"
#include "xml/convert.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tapline::xml {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr auto pump = InterfaceKind::vhostuser;
constexpr auto handoff = InterfaceKind::ethernet;
constexpr auto direct = InterfaceKind::direct;

std::string domain_with(const std::string& interfaces, const std::string& before = "") {
    return "<domain>\n  <name>a</name>" + before + "\n  <devices>\n" + interfaces +
           "\n  </devices>\n</domain>\n";
}

std::string direct_with(const std::string& more, const std::string& mac = "52:54:00:12:34:56") {
    return fmt::format("    <interface type='direct'>\n      <mac address='{}'/>\n"
                       "      <source dev='eth0' mode='bridge'/>\n"
                       "      <model type='virtio'/>{}\n    </interface>",
                       mac, more);
}

std::string converted(const std::string& text, InterfaceKind form,
                      std::vector<std::string> drop = {}, const std::string& which = "all") {
    return convert(text, "a.xml", {.to = form, .drop = std::move(drop)}, which);
}

std::string refusal_of(const std::string& text, InterfaceKind form,
                       const std::string& which = "all") {
    try {
        converted(text, form, {}, which);
    } catch (const Error& error) {
        return error.what();
    }
    return "nothing was refused";
}

Interface interface_of(const std::string& text, size_t index = 0) {
    return Domain::parse(text, "a.xml").interfaces.at(index);
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

TEST(Conversion, MakesAPumpsInterface) {
    const std::string text = domain_with(direct_with("\n      <driver queues='4'/>"));
    const std::string result = converted(text, pump);
    EXPECT_THAT(result, AllOf(HasSubstr("<interface type='vhostuser'>"),
                              HasSubstr("<source type='unix' path='/run/tapline/sockets/"
                                        "525400123456.sock' mode='server'/>"),
                              HasSubstr("<source type='memfd'/>\n    <access mode='shared'/>")));
    const Interface interface = interface_of(result);
    const InterfaceSpec spec = InterfaceSpec::parse(interface.device.value());
    EXPECT_EQ(spec.parent(), "eth0");
    EXPECT_EQ(spec.mode(), MacvlanMode::bridge);
    EXPECT_EQ(spec.name(), "tl525400123456");
    EXPECT_EQ(spec.queue_pairs(), 4);
    EXPECT_TRUE(interface.socket_server);
}

TEST(Conversion, MakesAHandOff) {
    const std::string result = converted(domain_with(direct_with("")), handoff);
    EXPECT_THAT(result, AllOf(HasSubstr("<interface type='ethernet'>"),
                              HasSubstr("<target dev='tl525400123456' managed='no'/>"),
                              Not(HasSubstr("memoryBacking"))));
    EXPECT_EQ(InterfaceSpec::parse(interface_of(result).device.value()).parent(), "eth0");
}

TEST(Conversion, KeepsANameThatWasChosen) {
    const std::string text = domain_with(direct_with("\n      <target dev='web1'/>"));
    EXPECT_EQ(interface_of(converted(text, pump)).device->name, "web1");
    EXPECT_EQ(interface_of(converted(text, handoff)).device->name, "web1");
}

TEST(Conversion, KeepsTrustInTheMetadata) {
    const std::string text = replaced(domain_with(direct_with("")), "type='direct'",
                                      "type='direct' trustGuestRxFilters='yes'");
    for (const InterfaceKind form : {pump, handoff}) {
        const std::string result = converted(text, form);
        EXPECT_THAT(result,
                    Not(HasSubstr("'" + std::string(to_text(form)) + "' trustGuestRxFilters")));
        EXPECT_TRUE(interface_of(result).trust_guest_rx_filters);
    }
}

TEST(Conversion, SaysModePassthroughAsTheDeviceIsMade) {
    const std::string text =
        replaced(domain_with(direct_with("")), "mode='bridge'", "mode='passthrough'");
    EXPECT_EQ(InterfaceSpec::parse(interface_of(converted(text, pump)).device.value()).mode(),
              MacvlanMode::passthru);
}

TEST(Conversion, GivesAnAddressWhereThereIsNone) {
    const std::string text =
        replaced(domain_with(direct_with("")), "<mac address='52:54:00:12:34:56'/>", "");
    const std::string result = converted(text, pump);
    ASSERT_TRUE(interface_of(result).mac);
    EXPECT_EQ(interface_of(converted(result, handoff)).mac, interface_of(result).mac);
    EXPECT_EQ(converted(result, direct), text);
}

TEST(Conversion, MakesLimitsOfBandwidth) {
    const std::string text = domain_with(
        direct_with("<bandwidth><inbound average='1000' burst='512'/><outbound average='20'/>"
                    "</bandwidth>"));
    EXPECT_THAT(interface_of(converted(text, pump)).pump_options,
                ElementsAre("--limit-guest-to-wire=160kbit",
                            "--limit-wire-to-guest=8000kbit,burst=512kib"));
}

TEST(Conversion, RefusesABandwidthThatNoPumpHas) {
    for (const char* direction :
         {"<inbound average='12500001'/>", "<inbound average='1' burst='1048577'/>"}) {
        const std::string text =
            domain_with(direct_with(fmt::format("\n<bandwidth>{}</bandwidth>", direction)));
        EXPECT_THAT(refusal_of(text, pump), HasSubstr("a.xml, line 8: read "));
        EXPECT_EQ(converted(converted(text, pump, {"bandwidth"}), direct), text);
    }
}

// What is kept in the metadata is out of the reach of these declarations.
TEST(Conversion, KeepsNamesOfNamespacesThatEndWithTheInterface) {
    const std::string text = replaced(
        replaced(domain_with(direct_with("")), "<interface", "<interface xmlns:b='urn:b&amp;'"),
        "<source", "<source b:note='1'");
    for (const InterfaceKind form : {pump, handoff}) {
        EXPECT_THAT(converted(text, form), HasSubstr("xmlns:b='urn:b&amp;' parent='eth0'"));
        EXPECT_EQ(converted(converted(text, form), direct), text);
    }
}

// libvirt sees the host's end of a tap there, which is not what a macvtap is.
TEST(Conversion, ExchangesTheDirectionsOfBandwidthForAHandOff) {
    const std::string text =
        domain_with(direct_with("<bandwidth><inbound average='1'></inbound></bandwidth>"));
    EXPECT_THAT(converted(text, handoff),
                HasSubstr("<bandwidth><outbound average='1'></outbound></bandwidth>"));
}

TEST(Conversion, OfOneInterfaceLeavesTheOthers) {
    const std::string text =
        domain_with(direct_with("") + "\n" + direct_with("", "52:54:00:00:00:02"));
    for (const char* which : {"2", "52:54:00:00:00:02"}) {
        const std::string result = converted(text, pump, {}, which);
        EXPECT_EQ(interface_of(result, 0).kind, direct);
        EXPECT_EQ(interface_of(result, 1).kind, pump);
    }
}

TEST(Conversion, BetweenFormsKeepsSettingsThatDirectHasNoWordFor) {
    const std::string result = replaced(converted(domain_with(direct_with("")), pump),
                                        "mode='bridge'", "mode='source' multicast='joined'");
    const std::string other =
        converted(replaced(result, "/>\n      <tapline:added",
                           "><tapline:allow mac='52:54:00:00:00:01'/></tapline:interface>"
                           "\n      <tapline:added"),
                  handoff);
    const InterfaceSpec spec = InterfaceSpec::parse(interface_of(other).device.value());
    EXPECT_EQ(spec.multicast(), MulticastPolicy::joined);
    EXPECT_EQ(spec.mode(), MacvlanMode::source);
    EXPECT_THAT(spec.allowed_macs(), testing::SizeIs(1));
}

TEST(Conversion, FromAPumpRefusesWhatOnlyAPumpDoes) {
    const std::string text =
        replaced(converted(domain_with(direct_with("")), pump), "mode='bridge'/>",
                 "mode='bridge'><tapline:pump port-security='yes'/></tapline:interface>");
    EXPECT_THAT(refusal_of(text, handoff),
                HasSubstr("'port-security' cannot be kept: type ethernet has no such setting"));
    EXPECT_THAT(interface_of(converted(text, handoff, {"port-security"})).pump_options,
                testing::IsEmpty());
}

TEST(ConversionBack, TakesTheParentOfToday) {
    const std::string text =
        replaced(domain_with(direct_with("")), "<source dev='eth0' mode='bridge'/>",
                 "<source  dev='eth0' mode='bridge'/>");
    for (const InterfaceKind form : {pump, handoff}) {
        const std::string moved = replaced(converted(text, form), "parent='eth0'", "parent='eth1'");
        EXPECT_EQ(converted(moved, direct),
                  replaced(text, "<source  dev='eth0'", "<source dev='eth1'"));
    }
}

TEST(ConversionBack, TakesTheModelOfToday) {
    const std::string text = replaced(domain_with(direct_with("")), "'virtio'", "'e1000'");
    const std::string result = converted(text, pump, {"model"});
    EXPECT_EQ(converted(result, direct), text);
    const std::string since = replaced(result, "type='virtio'", "type='virtio-transitional'");
    EXPECT_THAT(converted(since, direct), HasSubstr("<model type='virtio-transitional'/>"));
}

TEST(ConversionBack, RefusesSettingsThatDirectHasNoWordFor) {
    const std::string text = converted(domain_with(direct_with("")), pump);
    const auto with = [&](const std::string& setting) {
        return replaced(text, "mode='bridge'", "mode='bridge' " + setting);
    };
    EXPECT_THAT(refusal_of(with("multicast='joined'"), direct),
                HasSubstr("'multicast' cannot be kept: type direct has no such setting (convert "
                          "with --drop multicast, or without multicast)"));
    EXPECT_THAT(refusal_of(with("owner='0'"), direct), HasSubstr("'owner' cannot be kept"));
    EXPECT_EQ(converted(with("multicast='joined'"), direct, {"multicast"}),
              domain_with(direct_with("")));
}

TEST(ConversionBack, RefusesLimitsThatWereChangedSince) {
    const std::string text =
        domain_with(direct_with("<bandwidth><inbound average='1'/></bandwidth>"));
    const std::string changed = replaced(converted(text, pump), "'8kbit'", "'9kbit'");
    EXPECT_THAT(refusal_of(changed, direct), HasSubstr("'limit-wire-to-guest' cannot be kept"));
    EXPECT_EQ(converted(changed, direct, {"limit-wire-to-guest"}), text);
}

TEST(ConversionBack, TakesWhatWasDroppedAsItWas) {
    const std::string text =
        domain_with(direct_with("<bandwidth><inbound average='fast'/></bandwidth>"));
    EXPECT_THAT(refusal_of(text, pump), HasSubstr("line 7: read average 'fast'"));
    EXPECT_EQ(converted(converted(text, pump, {"bandwidth"}), direct), text);
}

TEST(ConversionBack, LeavesWhatOthersHaveAddedSince) {
    const std::string result = converted(domain_with(direct_with("")), pump);
    const std::string changed = replaced(
        replaced(result, "</tapline:interfaces>", "</tapline:interfaces><b:b xmlns:b='urn:b'/>"),
        "<access mode='shared'/>", "<access mode='shared'/><locked/>");
    EXPECT_THAT(converted(changed, direct),
                AllOf(HasSubstr("<metadata><b:b xmlns:b='urn:b'/>"),
                      HasSubstr("<memoryBacking><locked/>"), Not(HasSubstr("tapline"))));
}

TEST(ConversionBack, RefusesElementsThatOnlyTheOthersHave) {
    const std::string text = domain_with(direct_with(""));
    for (const InterfaceKind form : {pump, handoff}) {
        for (const char* name : {"mtu", "port", "coalesce", "ip", "route", "script"}) {
            const std::string since = replaced(converted(text, form), "<model type='virtio'/>",
                                               fmt::format("<model type='virtio'/><{}/>", name));
            EXPECT_THAT(refusal_of(since, direct),
                        AllOf(HasSubstr(fmt::format("'{}' cannot be kept: libvirt has it", name)),
                              HasSubstr(fmt::format("--drop {}", name))));
            EXPECT_EQ(converted(since, direct, {name}), text);
        }
    }
}

// libvirt refuses it, and so do we only if it was not there in the beginning.
TEST(ConversionBack, LeavesAnMtuThatWasThereBefore) {
    const std::string text = domain_with(direct_with("<mtu size='1400'/>"));
    EXPECT_EQ(converted(converted(converted(text, pump), handoff), direct), text);
    const std::string since =
        replaced(converted(domain_with(direct_with("")), pump), "<model type='virtio'/>",
                 "<model type='virtio'/><mtu size='1400'/>");
    EXPECT_THAT(refusal_of(converted(since, handoff), direct), HasSubstr("'mtu' cannot be kept"));
}

// As somebody writes it by hand: nothing tells how it was before.
TEST(ConversionBack, OfAnInterfaceThatNeverWasDirect) {
    const std::string metadata =
        "<metadata><t:interfaces xmlns:t='urn:tapline:domain:1'><t:interface "
        "mac='52:54:00:12:34:56' parent='eth0' mode='passthru' trust-guest-rx-filters='yes'/>"
        "</t:interfaces></metadata>";
    const std::string source = "<source dev='eth0' mode='passthrough'/>";
    const std::string start = "<interface type='direct' trustGuestRxFilters='yes'>";
    const std::string mac = "<mac address='52:54:00:12:34:56'/>";
    EXPECT_THAT(converted(domain_with("<interface type='vhostuser'>" + mac +
                                          "<source type='unix' path='/a' mode='client'/>"
                                          "</interface>",
                                      metadata),
                          direct),
                HasSubstr(start + mac + source + "</interface>"));
    EXPECT_THAT(converted(domain_with("<interface type='ethernet'>" + mac +
                                          "<target managed='no' dev='tl0'/></interface>",
                                      metadata),
                          direct),
                HasSubstr(start + source + mac + "<target dev='tl0'/></interface>"));
}

struct Loss {
    const char* name; // Of the element or attribute.
    const char* xml;
    bool on_pump;
    bool on_handoff;
};

class ConversionRefuses : public testing::TestWithParam<Loss> {};

TEST_P(ConversionRefuses, WhatTheFormCannotDoUnlessItIsDropped) {
    const auto [name, xml, on_pump, on_handoff] = GetParam();
    const std::string text = domain_with(direct_with("\n" + std::string(xml)));
    for (const auto& [form, refused] : {std::pair(pump, on_pump), std::pair(handoff, on_handoff)}) {
        if (refused) {
            EXPECT_THAT(refusal_of(text, form),
                        AllOf(HasSubstr(fmt::format("line 8: '{}' cannot be kept: ", name)),
                              HasSubstr(fmt::format("--drop {}", name))));
            EXPECT_EQ(converted(converted(text, form, {name}), direct), text);
        } else {
            EXPECT_EQ(converted(converted(text, form), direct), text);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(
    Each, ConversionRefuses,
    testing::Values(
        Loss{"tune", "<tune><sndbuf>1</sndbuf></tune>", true, false},
        Loss{"backend", "<backend vhost='/dev/vhost-net'/>", true, false},
        Loss{"peak", "<bandwidth><inbound average='1' peak='2'/></bandwidth>", true, false},
        Loss{"bandwidth", "<bandwidth><inbound average='1' floor='1'/></bandwidth>", true, true},
        Loss{"virtualport", "<virtualport type='802.1Qbh'/>", true, true},
        Loss{"vlan", "<vlan><tag id='1'/></vlan>", true, true},
        Loss{"filterref", "<filterref filter='clean-traffic'/>", true, true},
        Loss{"port", "<port isolated='yes'/>", true, true},
        Loss{"coalesce", "<coalesce/>", true, true}, Loss{"ip", "<ip address='::1'/>", true, true},
        Loss{"route", "<route/>", true, true}, Loss{"portForward", "<portForward/>", true, true},
        Loss{"script", "<script path='/a'/>", true, true},
        Loss{"downscript", "<downscript path='/a'/>", true, true},
        Loss{"backenddomain", "<backenddomain name='a'/>", true, true},
        Loss{"nothing", "<mtu size='9000'/><driver iommu='on'/><new/>", false, false}),
    [](const auto& test) { return test.param.name; });

TEST(ConversionRefuses, CardsThatAPumpCannotServe) {
    EXPECT_THAT(refusal_of(replaced(domain_with(direct_with("")), "'virtio'", "'e1000'"), pump),
                HasSubstr("line 7: 'model' cannot be kept: a pump serves cards of model virtio"));
    EXPECT_THAT(
        refusal_of(replaced(domain_with(direct_with("")), "<model type='virtio'/>", ""), pump),
        HasSubstr("line 4: 'model' cannot be kept"));
}

TEST(ConversionRefuses, MemoryThatMayNotBeShared) {
    for (const char* setting : {"<memoryBacking><access mode='private'/></memoryBacking>",
                                "<memoryBacking><source type='anonymous'/></memoryBacking>",
                                "<cpu><numa><cell memAccess='private'/></numa></cpu>"}) {
        const std::string text = domain_with(direct_with(""), setting);
        EXPECT_THAT(refusal_of(text, pump),
                    HasSubstr("line 2: a pump must map the guest's memory"));
        EXPECT_EQ(converted(converted(text, handoff), direct), text);
    }
}

TEST(ConversionRefuses, InterfacesItCannotTellApart) {
    EXPECT_THAT(refusal_of(domain_with(direct_with("") + "\n" + direct_with("")), pump),
                HasSubstr("line 4: another interface has MAC address 52:54:00:12:34:56, too"));
    EXPECT_THAT(refusal_of(domain_with("<interface type='direct'><mac/><source dev='a'/>"
                                       "</interface>"),
                           handoff),
                HasSubstr("line 4: it has no address"));
}

TEST(ConversionRefuses, ElementsThatAreThereTwice) {
    EXPECT_THAT(refusal_of(domain_with(direct_with("\n<model type='e1000'/>")), pump),
                HasSubstr("line 8: there is a <model> before it already"));
}

TEST(ConversionRefuses, InterfacesThatAreNotOurs) {
    const std::string foreign =
        domain_with("<interface type='vhostuser'><mac address='52:54:00:00:00:01'/></interface>");
    EXPECT_THAT(refusal_of(foreign, direct),
                HasSubstr("convert a.xml: it has neither an interface of type direct nor one of "
                          "Tapline's"));
    EXPECT_THAT(refusal_of(foreign, direct, "1"),
                HasSubstr("the domain's metadata does not describe it"));
    EXPECT_THAT(refusal_of(foreign, direct, "52:54:00:00:00:02"),
                HasSubstr("of the 1 that Tapline can serve none has this address"));
    for (const char* which : {"2", "0", "-1", "1x", "ALL", ""}) {
        EXPECT_THAT(refusal_of(foreign, direct, which),
                    HasSubstr("of the 1 that Tapline can serve none has this number"));
    }
}

TEST(ConversionRefuses, TextWhosePlaceCouldNotBeFoundAgain) {
    EXPECT_THAT(
        refusal_of(replaced(domain_with(direct_with("")), "<source", "text<source"), handoff),
        HasSubstr("line 6: there is text before it that means nothing"));
}

TEST(ConversionRefuses, MetadataThatTellsOfWhatNeverWas) {
    const auto with = [](const std::string& metadata) {
        return domain_with("<interface type='vhostuser'><mac address='52:54:00:12:34:56'/>"
                           "<source type='unix' path='/a' mode='client'/></interface>",
                           "<metadata><t:interfaces xmlns:t='urn:tapline:domain:1'>"
                           "<t:interface mac='52:54:00:12:34:56' parent='eth0' " +
                               metadata + "</t:interface></t:interfaces></metadata>");
    };
    EXPECT_THAT(refusal_of(with("added='source'>"), direct), HasSubstr("contradicts itself"));
    for (const InterfaceKind form : {direct, handoff}) {
        EXPECT_THAT(refusal_of(with("><t:was><interface type='bridge'/></t:was>"), form),
                    HasSubstr("the result would be another domain"));
    }
    EXPECT_THAT(refusal_of(with("><t:was/>"), direct), HasSubstr("it does not hold one element"));
    EXPECT_THAT(refusal_of(with("><t:was after='x'><a/></t:was>"), direct),
                HasSubstr("read place 'x'"));
}

} // namespace
} // namespace tapline::xml
