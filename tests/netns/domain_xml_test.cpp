// `tapline-xml` as a user runs it: what it prints, and its exit codes.
#include "tests/netns/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

namespace tapline::netns {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr auto file = "/run/web1.xml";
constexpr auto converted_file = "/run/web1-pump.xml";
const std::string domain = "<domain>\n  <name>web1</name>\n  <devices>\n"
                           "    <interface type='direct'>\n"
                           "      <mac address='52:54:00:12:34:56'/>\n"
                           "      <source dev='eth0'/>\n"
                           "      <model type='virtio'/>\n"
                           "      <vlan><tag id='5'/></vlan>\n"
                           "    </interface>\n  </devices>\n</domain>\n";

class DomainXml : public testing::Test {
protected:
    DomainXml() { std::ofstream(file) << domain; }

    static Outcome xml(const std::vector<std::string>& arguments) {
        return outcome_of("xml/tapline-xml", arguments);
    }
};

TEST_F(DomainXml, IsConvertedThereAndBack) {
    const Outcome there = xml({"convert", "--to=pump", "--drop=vlan", file});
    EXPECT_EQ(there.status, 0) << there.errors;
    std::ofstream(converted_file) << there.output;
    const Outcome shown = xml({"show", converted_file});
    EXPECT_THAT(shown.output, AllOf(HasSubstr("vhostuser"), HasSubstr("eth0"), HasSubstr("vepa"),
                                    HasSubstr("tl525400123456")));
    const Outcome back = xml({"convert", "--to=direct", "--interface=1", converted_file});
    EXPECT_EQ(back.status, 0) << back.errors;
    EXPECT_EQ(back.output, domain);
}

TEST_F(DomainXml, IsNotPrintedWhereItIsRefused) {
    const Outcome outcome = xml({"convert", "--to=pump", file});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.output, "");
    EXPECT_EQ(outcome.errors, "tapline-xml: read domain XML '/run/web1.xml', line 8: 'vlan' cannot "
                              "be kept: a macvtap adds no tag; take a VLAN as parent (convert with "
                              "--drop vlan, or without vlan)\n");
}

TEST_F(DomainXml, NeedsAFormAndNamesItKnows) {
    const Outcome formless = xml({"convert", file});
    EXPECT_EQ(formless.status, 2);
    EXPECT_THAT(formless.errors, HasSubstr("convert needs --to pump, --to handoff or --to direct"));
    const Outcome unknown = xml({"convert", "--to=pump", "--drop=vlna", file});
    EXPECT_EQ(unknown.status, 2);
    EXPECT_THAT(unknown.errors, HasSubstr("--drop knows no 'vlna', only model, bandwidth"));
    EXPECT_EQ(xml({"convert", "--to=pump"}).status, 2);
}

} // namespace
} // namespace tapline::netns
