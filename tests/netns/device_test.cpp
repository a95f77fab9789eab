// `tapline create`, `list` and `delete` as a user runs them: what appears, and that it is gone.
#include "tests/netns/lab.h"
#include "tests/netns/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tapline::netns {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsSupersetOf;
using Arguments = std::vector<std::string>;

class Devices : public testing::Test {
protected:
    static Outcome tapline(const Arguments& arguments) {
        return outcome_of("backend/tapline", arguments);
    }

    static void create(const std::string& name) {
        const Outcome created = tapline({"create", "--parent", "uplink", "--name", name});
        ASSERT_EQ(created.status, 0) << created.errors;
    }

    static std::vector<std::string> flags(const std::string& name) {
        return link(name).at("flags").get<std::vector<std::string>>();
    }

    static nlohmann::json listed() {
        return nlohmann::json::parse(tapline({"list", "--json"}).output);
    }

    Wire wire_;
};

TEST_F(Devices, AppearAsAskedFor) {
    const Outcome created =
        tapline({"create", "--parent", "uplink", "--name", "web0", "--mode", "vepa", "--mac",
                 "52:54:00:aa:bb:cc", "--mtu", "1400", "--queue-length", "2000"});
    ASSERT_EQ(created.status, 0) << created.errors;
    EXPECT_EQ(created.output, "web0\n");
    EXPECT_EQ(created.errors, "");
    const auto device = link("web0");
    EXPECT_EQ(device.at("linkinfo").at("info_kind"), "macvtap");
    EXPECT_EQ(device.at("linkinfo").at("info_data").at("mode"), "vepa");
    EXPECT_EQ(device.at("link"), "uplink");
    EXPECT_EQ(device.at("address"), "52:54:00:aa:bb:cc");
    EXPECT_EQ(device.at("mtu"), 1400);
    EXPECT_EQ(device.at("txqlen"), 2000);
    EXPECT_THAT(device.at("ifalias").get<std::string>(), testing::StartsWith("tapline "));
    EXPECT_EQ(device.at("group"), "default") << "its number while it was made";
    EXPECT_EQ(device.at("inet6_addr_gen_mode"), "none") << "the host would speak for the guest";
    EXPECT_THAT(flags("web0"), IsSupersetOf({"UP", "ALLMULTI"}));
}

TEST_F(Devices, HaveDefaultsThatAGuestCanLiveWith) {
    const Outcome created = tapline({"create", "--parent", "uplink"});
    ASSERT_EQ(created.status, 0) << created.errors;
    const auto device = link("tl0");
    EXPECT_EQ(device.at("linkinfo").at("info_data").at("mode"), "bridge");
    EXPECT_THAT(device.at("address").get<std::string>(), testing::StartsWith("52:54:00:"));
    EXPECT_EQ(device.at("mtu"), 1500);
    EXPECT_EQ(device.at("txqlen"), 1024);
    EXPECT_THAT(flags("tl0"), IsSupersetOf({"UP", "ALLMULTI"}));
}

class DeviceModes : public Devices, public testing::WithParamInterface<std::string> {};

TEST_P(DeviceModes, AreTheKernels) {
    const Outcome created = tapline({"create", "--parent", "uplink", "--mode", GetParam()});
    ASSERT_EQ(created.status, 0) << created.errors;
    EXPECT_EQ(link("tl0").at("linkinfo").at("info_data").at("mode"), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Modes, DeviceModes,
                         testing::Values("bridge", "vepa", "private", "passthru", "source"),
                         [](const auto& test) { return test.param; });

// The kernel gives such a device its parent's address, whatever it was asked for.
TEST_F(Devices, InPassthruHaveTheirParentsMacAndNoOther) {
    const Outcome refused = tapline(
        {"create", "--parent", "uplink", "--mode", "passthru", "--mac", "52:54:00:00:00:33"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.errors, HasSubstr("--mac"));
    EXPECT_TRUE(link("tl0").is_null());
    ASSERT_EQ(tapline({"create", "--parent", "uplink", "--mode", "passthru"}).status, 0);
    EXPECT_EQ(link("tl0").at("address"), link("uplink").at("address"));
}

TEST_F(Devices, MayHaveAnMtuThatIpv6IsTooLargeFor) {
    for (const char* mtu : {"68", "576", "1279"}) {
        const Outcome created =
            tapline({"create", "--parent", "uplink", "--name", "web0", "--mtu", mtu});
        EXPECT_EQ(created.status, 0) << created.errors;
        EXPECT_EQ(std::to_string(link("web0").at("mtu").get<int>()), mtu);
        EXPECT_EQ(tapline({"delete", "web0"}).status, 0);
    }
}

TEST_F(Devices, HaveNoIpv6AddressOfTheHosts) {
    run("echo 0 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    create("tl0");
    run("test -z \"$(ip -6 address show dev tl0)\"");
}

TEST_F(Devices, WithMulticastJoinedDoNotTakeAllGroups) {
    ASSERT_EQ(tapline({"create", "--parent", "uplink", "--multicast", "joined"}).status, 0);
    EXPECT_THAT(flags("tl0"), testing::Not(Contains("ALLMULTI")));
}

TEST_F(Devices, TakeTheFirstFreeName) {
    run("ip link add tl1 type veth peer name other0");
    EXPECT_EQ(tapline({"create", "--parent", "uplink"}).output, "tl0\n");
    EXPECT_EQ(tapline({"create", "--parent", "uplink"}).output, "tl2\n");
    run("ip link delete tl1");
    EXPECT_EQ(tapline({"create", "--parent", "uplink"}).output, "tl1\n");
}

TEST_F(Devices, BringTheirParentUp) {
    run("ip link set uplink down");
    ASSERT_EQ(tapline({"create", "--parent", "uplink"}).status, 0);
    EXPECT_THAT(flags("uplink"), Contains("UP"));
    EXPECT_THAT(flags("tl0"), Contains("UP"));
}

TEST_F(Devices, ReadAsJsonWithTheKernelsFacts) {
    const Outcome created = tapline({"create", "--parent", "uplink", "--mac", "52:54:00:00:00:09",
                                     "--mode", "private", "--json"});
    const auto device = link("tl0");
    nlohmann::json expected = {{"device", "tl0"},
                               {"index", device.at("ifindex")},
                               {"kind", "macvtap"},
                               {"broadcast_queue_length", 1000},
                               {"parent", "uplink"},
                               {"mode", "private"},
                               {"mac", "52:54:00:00:00:09"},
                               {"mtu", 1500},
                               {"queue_length", 1024},
                               {"up", true}};
    EXPECT_EQ(nlohmann::json::parse(created.output), expected);
    expected["owner"] = {{"state", "kept"}};
    EXPECT_EQ(listed(), nlohmann::json::array({expected}));
}

TEST_F(Devices, AreListedOnlyIfOurs) {
    EXPECT_EQ(tapline({"list"}).output, "");
    EXPECT_EQ(listed(), nlohmann::json::array());
    run("ip link add link uplink name plain0 type macvtap");
    run("ip link add pair0 type veth peer name pair1 && ip link set pair0 alias tapline");
    create("web0");
    ASSERT_EQ(listed().size(), 1);
    EXPECT_EQ(listed().front().at("device"), "web0");
    const std::string table = tapline({"list"}).output;
    EXPECT_THAT(table, HasSubstr("web0"));
    EXPECT_THAT(table, HasSubstr(link("web0").at("address").get<std::string>()));
    EXPECT_THAT(table, testing::Not(HasSubstr("plain0")));
    run("ip link delete pair0");
}

TEST_F(Devices, AreGoneAfterDeleteAndASecondOneIsRefused) {
    create("web0");
    const Outcome deleted = tapline({"delete", "web0"});
    EXPECT_EQ(deleted.status, 0) << deleted.errors;
    EXPECT_EQ(deleted.output, "");
    EXPECT_TRUE(link("web0").is_null());
    const Outcome again = tapline({"delete", "web0"});
    EXPECT_EQ(again.status, 1);
    EXPECT_THAT(again.errors, HasSubstr("web0"));
}

TEST_F(Devices, AreDeletedBehindTheEndOfOptions) {
    create("tl0");
    EXPECT_EQ(tapline({"delete", "--", "tl0"}).status, 0);
    EXPECT_EQ(listed().size(), 0u);
}

TEST_F(Devices, AreDeletedEvenIfOneOfTheNamesIsBad) {
    create("web0");
    create("web1");
    const Outcome deleted = tapline({"delete", "web0", "nosuch0", "web1"});
    EXPECT_EQ(deleted.status, 1);
    EXPECT_THAT(deleted.errors, HasSubstr("nosuch0"));
    EXPECT_THAT(deleted.errors, testing::Not(HasSubstr("web")));
    EXPECT_TRUE(link("web0").is_null());
    EXPECT_TRUE(link("web1").is_null());
}

TEST_F(Devices, ThatAreNotOursAreNotDeleted) {
    run("ip link add link uplink name plain0 type macvtap");
    for (const char* name : {"plain0", "peer0"}) {
        const auto before = links();
        const Outcome refused = tapline({"delete", name});
        EXPECT_EQ(refused.status, 1);
        EXPECT_THAT(refused.errors, HasSubstr(name));
        EXPECT_EQ(links(), before);
    }
}

struct Refusal {
    std::string name;
    Arguments options;   // Of create.
    std::string subject; // That the sentence names.
    friend void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.name; }
};

class DeviceRefusals : public Devices, public testing::WithParamInterface<Refusal> {
protected:
    DeviceRefusals() {
        run("ip link add bridge0 type bridge && ip link add port0 type veth && "
            "ip link set port0 master bridge0");
        run("ip link add link uplink name plain0 address 52:54:00:00:00:77 type macvtap && "
            "ip link set plain0 up");
    }
    ~DeviceRefusals() override { run("ip link delete bridge0 && ip link delete port0"); }
};

TEST_P(DeviceRefusals, TellWhyInOneSentenceAndChangeNothing) {
    const auto before = links();
    Arguments arguments = GetParam().options;
    arguments.insert(arguments.begin(), "create");
    const Outcome refused = tapline(arguments);
    EXPECT_EQ(refused.status, 1);
    EXPECT_EQ(refused.output, "");
    EXPECT_THAT(refused.errors, HasSubstr(GetParam().subject));
    EXPECT_EQ(refused.errors.find('\n'), refused.errors.size() - 1) << refused.errors;
    EXPECT_EQ(links(), before);
}

Refusal on_uplink(const std::string& name, const std::string& option, const std::string& value) {
    return {name, {"--parent", "uplink", option, value}, value};
}

INSTANTIATE_TEST_SUITE_P(
    Refusals, DeviceRefusals,
    testing::Values(
        Refusal{"ParentMissing", {"--parent", "nosuch0"}, "nosuch0"},
        Refusal{"ParentLoopback", {"--parent", "lo"}, "'lo'"},
        Refusal{"ParentOfABridge", {"--parent", "port0"}, "port0"},
        Refusal{"ParentNameTooLong", {"--parent", "abcdefghijklmnop"}, "abcdefghij"},
        on_uplink("MtuOverTheParents", "--mtu", "1501"), on_uplink("MtuZero", "--mtu", "0"),
        on_uplink("MtuNoNumber", "--mtu", "big"), on_uplink("MtuOverAll", "--mtu", "65536"),
        Refusal{"MacTaken",
                {"--parent", "uplink", "--name", "web0", "--mac", "52:54:00:00:00:77"},
                "plain0"},
        on_uplink("MacMulticast", "--mac", "01:00:5e:00:00:01"),
        on_uplink("MacZero", "--mac", "00:00:00:00:00:00"),
        on_uplink("MacNonsense", "--mac", "52:54:00:00:00"),
        on_uplink("NameTaken", "--name", "plain0"),
        on_uplink("NameTooLong", "--name", "abcdefghijklmnop"),
        on_uplink("NameWithSlash", "--name", "web/0"), on_uplink("NameEmpty", "--name", ""),
        on_uplink("NameOfLibvirt", "--name", "vnet0"),
        on_uplink("NameOfMacvtap", "--name", "macvtap0"), on_uplink("QueuesZero", "--queues", "0"),
        on_uplink("QueuesTooMany", "--queues", "257"),
        on_uplink("QueueLengthZero", "--queue-length", "0"),
        on_uplink("ModeUnknown", "--mode", "sideways"),
        on_uplink("ModePassthruOfSharedParent", "--mode", "passthru"),
        on_uplink("KindIpvtapThatTheKernelLacks", "--kind", "ipvtap"),
        on_uplink("OwnerUnknown", "--owner", "nosuchuser"),
        on_uplink("OwnerGroupUnknown", "--owner", "root:nosuchgroup"),
        Refusal{"AllowWithoutSource",
                {"--parent", "uplink", "--allow", "52:54:00:00:00:05"},
                "--allow"}),
    [](const auto& test) { return test.param.name; });

TEST_F(Devices, ThatAreRefusedLeaveTheirParentDown) {
    run("ip link set uplink down");
    run("ip link add link uplink name plain0 address 52:54:00:00:00:77 type macvtap");
    const auto before = links();
    EXPECT_EQ(tapline({"create", "--parent", "uplink", "--name", "plain0"}).status, 1);
    EXPECT_EQ(links(), before);
}

struct Misuse {
    std::string name;
    Arguments arguments;
    friend void PrintTo(const Misuse& misuse, std::ostream* out) { *out << misuse.name; }
};

class DeviceMisuse : public Devices, public testing::WithParamInterface<Misuse> {};

TEST_P(DeviceMisuse, IsExitCodeTwo) {
    const auto before = links();
    const Outcome refused = tapline(GetParam().arguments);
    EXPECT_EQ(refused.status, 2);
    EXPECT_EQ(refused.output, "");
    EXPECT_NE(refused.errors, "");
    EXPECT_EQ(links(), before);
}

INSTANTIATE_TEST_SUITE_P(
    Usage, DeviceMisuse,
    testing::Values(Misuse{"NoVerb", {}}, Misuse{"UnknownVerb", {"frobnicate"}},
                    Misuse{"HelpOfAVerb", {"help", "create"}},
                    Misuse{"LongHelpOfAVerb", {"--help", "create"}},
                    Misuse{"ShortHelpOfAVerb", {"-h", "create"}},
                    Misuse{"VersionAndMore", {"--version", "create"}},
                    Misuse{"VerbThatIsAPath", {"../bin/true"}},
                    Misuse{"OptionForVerb", {"--bogus"}}, Misuse{"CreateWithoutParent", {"create"}},
                    Misuse{"CreateWithoutValue", {"create", "--parent"}},
                    Misuse{"CreateUnknownOption", {"create", "--parent", "uplink", "--bogus"}},
                    Misuse{"CreateStrayArgument", {"create", "--parent", "uplink", "web0"}},
                    Misuse{"DeleteNothing", {"delete"}},
                    Misuse{"DeleteUnknownOption", {"delete", "--bogus", "web0"}},
                    Misuse{"ListStrayArgument", {"list", "web0"}}),
    [](const auto& test) { return test.param.name; });

} // namespace
} // namespace tapline::netns
