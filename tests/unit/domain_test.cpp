// Domain XML as libvirt writes it, and what is no domain.
#include "backend/base/error.h"
#include "xml/document.h"
#include "xml/domain.h"
#include "xml/domain_json.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tapline::xml {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string domain_with(const std::string& body) {
    return "<domain type='kvm'>\n<name>web1</name>\n<vcpu>4</vcpu>\n" + body + "\n</domain>\n";
}

Domain parse(const std::string& body) {
    return Domain::parse(domain_with(body), "web1.xml");
}

Interface only_interface(const std::string& element) {
    const Domain domain = parse("<devices>\n" + element + "\n</devices>");
    EXPECT_EQ(domain.interfaces.size(), 1);
    return domain.interfaces.at(0);
}

std::string refusal_of(const std::string& text) {
    try {
        Domain::parse(text, "web1.xml");
    } catch (const Error& error) {
        return error.what();
    }
    return "nothing was refused";
}

std::string refusal_of_interface(const std::string& element) {
    return refusal_of(domain_with("<devices>\n" + element + "\n</devices>"));
}

TEST(Domain, TellsItsNameAndVcpus) {
    const Domain domain = parse("");
    EXPECT_EQ(domain.name, "web1");
    EXPECT_EQ(domain.vcpus, 4);
    EXPECT_THAT(domain.interfaces, testing::IsEmpty());
}

TEST(Domain, TellsItsUuidInOneForm) {
    EXPECT_EQ(parse("").uuid, "");
    EXPECT_EQ(parse("<uuid>C7A5FDBD-cdaf-9455-926a-d65c16db1809</uuid>").uuid,
              "c7a5fdbd-cdaf-9455-926a-d65c16db1809");
    EXPECT_EQ(parse("<uuid>\nc7a5fdbdcdaf9455926ad65c16db1809 </uuid>").uuid,
              "c7a5fdbd-cdaf-9455-926a-d65c16db1809");
}

TEST(Domain, HasOneVcpuWhereItSaysNothing) {
    EXPECT_EQ(Domain::parse("<domain><name>a</name></domain>", "a.xml").vcpus, 1);
}

TEST(Domain, DirectInterfaceHasAllItsFacts) {
    const Interface interface =
        only_interface("<interface type='direct'>"
                       "<mac address='52:54:00:12:34:56'/>"
                       "<source dev='eth0' mode='passthrough'/>"
                       "<target dev='macvtap0'/><model type='virtio'/>"
                       "<driver name='vhost' queues='4'/><mtu size='9000'/></interface>");
    EXPECT_EQ(interface.kind, InterfaceKind::direct);
    EXPECT_EQ(interface.line, 5);
    EXPECT_EQ(interface.parent, "eth0");
    EXPECT_EQ(interface.mode, "passthrough");
    EXPECT_EQ(interface.target, "macvtap0");
    EXPECT_EQ(interface.mac->text(), "52:54:00:12:34:56");
    EXPECT_EQ(interface.model, "virtio");
    EXPECT_EQ(interface.queue_pairs, 4);
    EXPECT_EQ(interface.mtu, 9000);
}

TEST(Domain, DirectInterfaceWithoutModeIsVepa) {
    const Interface interface =
        only_interface("<interface type='direct'><source dev='eth0'/></interface>");
    EXPECT_EQ(interface.mode, "vepa");
    EXPECT_EQ(interface.queue_pairs, 1);
    EXPECT_EQ(interface.mac, std::nullopt);
    EXPECT_EQ(interface.mtu, std::nullopt);
}

TEST(Domain, VhostUserInterfaceHasItsSocket) {
    const Interface interface =
        only_interface("<interface type='vhostuser'>"
                       "<source type='unix' path='/run/a.sock' mode='client'/></interface>");
    EXPECT_EQ(interface.kind, InterfaceKind::vhostuser);
    EXPECT_EQ(interface.socket, "/run/a.sock");
    EXPECT_FALSE(interface.socket_server);
    EXPECT_FALSE(interface.device);
    EXPECT_EQ(interface.parent, std::nullopt);
    EXPECT_EQ(interface.mode, std::nullopt);
}

TEST(Domain, VhostUserInterfaceTellsWhetherQemuListens) {
    EXPECT_TRUE(only_interface("<interface type='vhostuser'><source type='unix' path='/run/a.sock' "
                               "mode='server'/></interface>")
                    .socket_server);
}

TEST(Domain, DirectInterfaceTellsWhetherItsGuestIsTrusted) {
    const auto trusted = [](const std::string& attributes) {
        return only_interface("<interface type='direct'" + attributes +
                              "><source dev='eth0'/></interface>")
            .trust_guest_rx_filters;
    };
    EXPECT_TRUE(trusted(" trustGuestRxFilters='yes'"));
    EXPECT_FALSE(trusted(" trustGuestRxFilters='no'"));
    EXPECT_FALSE(trusted(""));
}

TEST(Domain, HasNoInterfacesOfOtherNamespaces) {
    EXPECT_THAT(parse("<devices xmlns:a='urn:a'><a:interface type='direct'/></devices>").interfaces,
                testing::IsEmpty());
}

TEST(Domain, EthernetInterfaceCountsWhereItsDeviceIsNotManaged) {
    const Domain domain = parse("<devices>"
                                "<interface type='ethernet'><target dev='tl0' managed='no'/>"
                                "</interface>"
                                "<interface type='ethernet'><target dev='tap0'/></interface>"
                                "<interface type='bridge'><source bridge='br0'/></interface>"
                                "</devices>");
    ASSERT_EQ(domain.interfaces.size(), 1);
    EXPECT_EQ(domain.interfaces[0].kind, InterfaceKind::ethernet);
    EXPECT_EQ(domain.interfaces[0].target, "tl0");
}

// libvirt looks at all of them.
TEST(Domain, HasTheInterfacesOfSecondDevices) {
    EXPECT_THAT(parse("<devices/><devices><interface type='direct'><source dev='a'/></interface>"
                      "</devices>")
                    .interfaces,
                testing::SizeIs(1));
}

struct Memory {
    const char* name;
    const char* xml;
    bool shared;
};

class DomainMemory : public testing::TestWithParam<Memory> {};

TEST_P(DomainMemory, IsSharedOnlyWhereAllOfItIs) {
    EXPECT_EQ(parse(GetParam().xml).shared_memory, GetParam().shared);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, DomainMemory,
    testing::Values(
        Memory{"Nothing", "", false},
        Memory{"Memfd",
               "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>",
               true},
        Memory{"Hugepages", "<memoryBacking><hugepages/><access mode='shared'/></memoryBacking>",
               true},
        Memory{"MemfdAlone", "<memoryBacking><source type='memfd'/></memoryBacking>", false},
        Memory{"Private", "<memoryBacking><access mode='private'/></memoryBacking>", false},
        Memory{"Anonymous",
               "<memoryBacking><source type='anonymous'/><access mode='shared'/></memoryBacking>",
               false},
        Memory{"AllCells",
               "<cpu><numa><cell memAccess='shared'/><cell memAccess='shared'/></numa></cpu>",
               true},
        Memory{"OneCellOfTwo", "<cpu><numa><cell memAccess='shared'/><cell/></numa></cpu>", false},
        Memory{"PrivateCellOfShared",
               "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
               "<cpu><numa><cell memAccess='private'/><cell/></numa></cpu>",
               false}),
    [](const auto& test) { return test.param.name; });

TEST(Domain, TellsOfHugepages) {
    EXPECT_TRUE(parse("<memoryBacking><hugepages/></memoryBacking>").hugepages);
    EXPECT_FALSE(parse("<memoryBacking/>").hugepages);
}

TEST(Domain, ReadsTheSameAsJson) {
    const auto json = to_json(
        parse("<devices><interface type='direct'><source dev='eth0'/></interface></devices>"));
    EXPECT_EQ(
        json.dump(),
        R"({"name":"web1","uuid":null,"vcpus":4,"shared_memory":false,"hugepages":false,)"
        R"("interfaces":[{"type":"direct","line":4,"parent":"eth0","mode":"vepa","socket":null,)"
        R"("target":null,"mac":null,"model":null,"queues":1,"mtu":null,"socket_server":false,)"
        R"("trust_guest_rx_filters":false,"device":null,"pump_options":[]}]})");
}

TEST(DomainRefuses, WhatIsNoXmlWithItsLine) {
    EXPECT_THAT(refusal_of("<domain>\n<name>\n"), HasSubstr("read domain XML web1.xml, line 3: "));
    EXPECT_THAT(refusal_of(""), HasSubstr("web1.xml, line 1: Document is empty"));
    EXPECT_THAT(refusal_of("no xml"), HasSubstr("line 1: "));
}

TEST(DomainRefuses, OtherEncodings) {
    EXPECT_EQ(refusal_of("<?xml version='1.0' encoding='ISO-8859-1'?>\n<domain><name>\xe4"
                         "</name></domain>"),
              "read domain XML web1.xml, line 2: it is not in UTF-8 (convert it, for example with "
              "iconv(1))");
    std::string utf16 = "\xff\xfe";
    for (const char c : domain_with("")) {
        utf16 += {c, '\0'};
    }
    EXPECT_THAT(refusal_of(utf16), HasSubstr("line 1: it is not in UTF-8"));
    EXPECT_THAT(refusal_of(domain_with("") + '\0'), HasSubstr("line 6: it is not in UTF-8"));
}

// libxml2 would take a minute for what 1 MiB can hold.
TEST(DomainRefuses, ElementsWithMoreAttributesThanOneCanCompare) {
    const auto with_attributes = [](int count) {
        std::string source = "<interface type='direct'><source dev='a'";
        for (int i = 0; i < count; ++i) {
            source += fmt::format("\na{} =\t\"1\"", i);
        }
        return source + "/></interface>";
    };
    only_interface(with_attributes(1023));
    EXPECT_THAT(refusal_of_interface(with_attributes(1024)),
                HasSubstr("line 1029: an element has more than 1024 attributes"));
    EXPECT_EQ(parse("<!--" + std::string(5000, '=') + "-->").name, "web1");
}

// Neither is read: the text names a file that exists and an entity that would grow.
TEST(DomainRefuses, DocumentTypesBeforeTheirEntities) {
    for (const char* head : {"<!DOCTYPE domain SYSTEM '/etc/hostname'>",
                             "<!DOCTYPE domain [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]>"}) {
        EXPECT_THAT(refusal_of(std::string(head) + "<domain><name>&b;</name></domain>"),
                    AllOf(HasSubstr("line 1: it has a document type"), HasSubstr("remove")));
    }
}

TEST(DomainRefuses, EntitiesThatNobodyDeclared) {
    EXPECT_THAT(refusal_of("<domain><name>&b;</name></domain>"), HasSubstr("Entity 'b'"));
}

TEST(DomainRefuses, TextWithoutEnd) {
    EXPECT_EQ(refusal_of(domain_with(std::string(document_bytes_max, ' '))),
              "read domain XML web1.xml: it is longer than 1048576 bytes");
}

TEST(DomainRefuses, ElementsNestedWithoutEnd) {
    const auto nested = [](int depth) { // In <domain>.
        std::string text;
        for (int i = 0; i < depth; ++i) {
            text += "<a>";
        }
        for (int i = 0; i < depth; ++i) {
            text += "</a>";
        }
        return domain_with("\n" + text);
    };
    EXPECT_EQ(refusal_of(nested(255)), "nothing was refused");
    for (const int depth : {256, 100000}) {
        EXPECT_EQ(refusal_of(nested(depth)),
                  "read domain XML web1.xml, line 5: elements are nested more than 256 deep "
                  "(give the output of `virsh dumpxml NAME`)");
    }
}

TEST(DomainRefuses, MoreInterfacesThanOneCanLookAt) {
    const auto with_interfaces = [](int count) {
        std::string devices = "<devices>\n";
        for (int i = 0; i < count; ++i) {
            devices += "<interface type='direct'><source dev='a'/></interface>\n";
        }
        return domain_with(devices + "</devices>");
    };
    EXPECT_EQ(refusal_of(with_interfaces(256)), "nothing was refused");
    EXPECT_THAT(refusal_of(with_interfaces(257)),
                HasSubstr("line 261: it has more than 256 network cards"));
}

TEST(DomainRefuses, ToRepeatWhatATerminalObeys) {
    EXPECT_EQ(refusal_of_interface(
                  "<interface type='direct'><source dev='a' mode='&#x9b;31m&#10;&#x202e;x'/>"
                  "</interface>"),
              "read domain XML web1.xml, line 5: mode '\ufffd31m\ufffd\ufffdx' is not one of "
              "vepa, bridge, private, passthrough");
    EXPECT_THAT(
        refusal_of_interface("<interface type='direct'><source dev='&#x9b;31m'/></interface>"),
        HasSubstr("line 5: it holds a control character"));
}

TEST(DomainRefuses, AnotherDocument) {
    EXPECT_EQ(refusal_of("<network><name>a</name></network>"),
              "read domain XML web1.xml, line 1: the outermost element is not <domain> "
              "(give the output of `virsh dumpxml NAME`)");
}

TEST(DomainRefuses, NamesThatLibvirtRefuses) {
    EXPECT_THAT(refusal_of("<domain/>"), HasSubstr("the domain has no name"));
    EXPECT_THAT(refusal_of("<domain><name>a/b</name></domain>"), HasSubstr("holds no '/'"));
    EXPECT_THAT(refusal_of("<domain><name>a&#10;b</name></domain>"),
                HasSubstr("control character"));
    EXPECT_THAT(refusal_of("<domain><name>a&#x9b;31m</name></domain>"),
                HasSubstr("control character"));
}

TEST(DomainRefuses, UuidsThatAreNone) {
    for (const char* uuid :
         {"c7a5", "../../../../../../../etc/shadow.", "c7a5fdbdcdaf9455926ad65c16db18090"}) {
        EXPECT_THAT(
            refusal_of("<domain><name>a</name>\n<uuid>" + std::string(uuid) + "</uuid></domain>"),
            HasSubstr("line 2: the UUID is not made of 32 hexadecimal digits"));
    }
}

TEST(DomainRefuses, NumbersOutOfBounds) {
    EXPECT_THAT(refusal_of("<domain><name>a</name>\n<vcpu>0</vcpu></domain>"),
                HasSubstr("line 2: read number of vCPUs '0'"));
    EXPECT_THAT(refusal_of_interface("<interface type='direct'><source dev='eth0'/>\n"
                                     "<driver queues='257'/></interface>"),
                HasSubstr("line 6: read number of queues '257': not a number from 1 to 256"));
    EXPECT_THAT(refusal_of_interface("<interface type='direct'><source dev='eth0'/>\n"
                                     "<mtu size='-1'/></interface>"),
                HasSubstr("line 6: read MTU '-1'"));
}

TEST(DomainRefuses, InterfacesThatCannotBe) {
    EXPECT_THAT(refusal_of_interface("<interface type='direct'/>"),
                HasSubstr("line 5: an interface of type direct names no parent"));
    EXPECT_THAT(refusal_of_interface("<interface type='direct'><source dev='a/b'/></interface>"),
                HasSubstr("use interface name 'a/b'"));
    EXPECT_THAT(refusal_of_interface(
                    "<interface type='direct'><source dev='eth0' mode='open'/></interface>"),
                HasSubstr("mode 'open' is not one of vepa, bridge"));
    EXPECT_THAT(
        refusal_of_interface("<interface type='ethernet'><target managed='no'/></interface>"),
        HasSubstr("names no device"));
    EXPECT_THAT(refusal_of_interface("<interface type='vhostuser'>\n<mac address='1'/>"
                                     "</interface>"),
                HasSubstr("line 6: read MAC address '1'"));
}

} // namespace
} // namespace tapline::xml
