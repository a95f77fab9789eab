#include "backend/interface_spec.h"

#include "backend/base/error.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>

namespace tapline {
namespace {

using Change = std::function<void(InterfaceText&)>;

InterfaceText text_with(const Change& change = [](InterfaceText&) {}) {
    InterfaceText text{.parent = "eth0", .mac = "52:54:00:12:34:56"};
    change(text);
    return text;
}

InterfaceSpec spec_with(const Change& change) {
    return InterfaceSpec::parse(text_with(change));
}

TEST(InterfaceSpec, DefaultsAreThoseOfTheManual) {
    const InterfaceSpec spec = InterfaceSpec::parse({.parent = "eth0"});
    EXPECT_EQ(spec.parent(), "eth0");
    EXPECT_EQ(spec.name(), std::nullopt);
    EXPECT_EQ(spec.mac(), std::nullopt);
    EXPECT_EQ(spec.mode(), MacvlanMode::bridge);
    EXPECT_EQ(spec.kind(), DeviceKind::macvtap);
    EXPECT_EQ(spec.mtu(), std::nullopt);
    EXPECT_EQ(spec.queue_pairs(), 1);
    EXPECT_EQ(spec.queue_length(), 1024u);
    EXPECT_EQ(spec.multicast(), MulticastPolicy::all);
    EXPECT_FALSE(spec.owner());
    EXPECT_TRUE(spec.allowed_macs().empty());
}

TEST(InterfaceSpec, EachModeIsReadAndNamed) {
    const std::pair<const char*, MacvlanMode> modes[] = {{"bridge", MacvlanMode::bridge},
                                                         {"vepa", MacvlanMode::vepa},
                                                         {"private", MacvlanMode::private_mode},
                                                         {"passthru", MacvlanMode::passthru},
                                                         {"source", MacvlanMode::source}};
    for (const auto& [name, mode] : modes) {
        EXPECT_EQ(InterfaceSpec::parse({.parent = "eth0", .mode = name}).mode(), mode);
        EXPECT_STREQ(to_text(mode), name);
    }
}

TEST(InterfaceSpec, EachKindIsReadAndNamed) {
    const std::pair<const char*, DeviceKind> kinds[] = {{"macvtap", DeviceKind::macvtap},
                                                        {"ipvtap", DeviceKind::ipvtap}};
    for (const auto& [name, kind] : kinds) {
        EXPECT_EQ(InterfaceSpec::parse({.parent = "eth0", .kind = name}).kind(), kind);
        EXPECT_STREQ(to_text(kind), name);
    }
}

TEST(InterfaceSpec, EachMulticastPolicyIsReadAndNamed) {
    const std::pair<const char*, MulticastPolicy> policies[] = {{"all", MulticastPolicy::all},
                                                                {"joined", MulticastPolicy::joined},
                                                                {"none", MulticastPolicy::none}};
    for (const auto& [name, policy] : policies) {
        EXPECT_EQ(InterfaceSpec::parse({.parent = "eth0", .multicast = name}).multicast(), policy);
        EXPECT_STREQ(to_text(policy), name);
    }
}

TEST(InterfaceSpec, NumbersAreTakenUpToTheirBounds) {
    for (const char* mtu : {"68", "65535"}) {
        EXPECT_EQ(std::to_string(*spec_with([&](auto& text) { text.mtu = mtu; }).mtu()), mtu);
    }
    for (const char* queues : {"1", "256"}) {
        const InterfaceSpec spec = spec_with([&](auto& text) { text.queues = queues; });
        EXPECT_EQ(std::to_string(spec.queue_pairs()), queues);
    }
    for (const char* length : {"1", "65536"}) {
        const InterfaceSpec spec = spec_with([&](auto& text) { text.queue_length = length; });
        EXPECT_EQ(std::to_string(spec.queue_length()), length);
    }
}

TEST(InterfaceSpec, NamesTheKernelTakesAreTaken) {
    for (const char* name : {"t", "tl0", "fifteen-letters", "a.b", "...", "m@c", "tap0"}) {
        EXPECT_EQ(spec_with([&](auto& text) { text.name = name; }).name(), name);
    }
}

TEST(InterfaceSpec, ParentMayHaveANameOfLibvirt) {
    EXPECT_EQ(spec_with([](auto& text) { text.parent = "macvlan0"; }).parent(), "macvlan0");
}

TEST(InterfaceSpec, OwnerIsAUserWithItsOwnGroupOrAnother) {
    const auto root = spec_with([](auto& text) { text.owner = "root"; }).owner();
    ASSERT_TRUE(root);
    EXPECT_EQ(root->user, 0u);
    EXPECT_EQ(root->group, 0u);
    const auto mixed = spec_with([](auto& text) { text.owner = "daemon:root"; }).owner();
    ASSERT_TRUE(mixed);
    EXPECT_NE(mixed->user, 0u);
    EXPECT_EQ(mixed->group, 0u);
}

TEST(InterfaceSpec, ModeSourceTakesAListOfAddresses) {
    const InterfaceSpec spec = spec_with([](auto& text) {
        text.mode = "source";
        text.allow = {"52:54:00:00:00:01", "52:54:00:00:00:02"};
    });
    ASSERT_EQ(spec.allowed_macs().size(), 2u);
    EXPECT_EQ(spec.allowed_macs()[1].text(), "52:54:00:00:00:02");
}

struct Refused {
    Change change;
    std::string sentence;
};

class InterfaceSpecRefused : public testing::TestWithParam<Refused> {};

TEST_P(InterfaceSpecRefused, ErrorSaysWhatIsWrong) {
    try {
        spec_with(GetParam().change);
        FAIL() << "taken, instead of: " << GetParam().sentence;
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), GetParam().sentence.c_str());
    }
}

Refused parent(const std::string& text, const std::string& cause) {
    return {[=](InterfaceText& spec) { spec.parent = text; },
            "use interface name '" + text + "': " + cause};
}

constexpr const char* length_rule = "a name has 1 to 15 characters";
constexpr const char* folder_rule = "a directory's name cannot be an interface's";
constexpr const char* letter_rule = "a name holds no '/', ':', '%', blank or control character";
constexpr const char* kernel_rule = "the kernel keeps settings of all interfaces under this name";

INSTANTIATE_TEST_SUITE_P(Parent, InterfaceSpecRefused,
                         testing::Values(Refused{[](InterfaceText& spec) { spec.parent.reset(); },
                                                 "read interface: no parent interface was named"},
                                         parent("", length_rule),
                                         parent("sixteen-letters-", length_rule),
                                         parent(".", folder_rule), parent("..", folder_rule),
                                         parent("a/b", letter_rule), parent("a:b", letter_rule),
                                         parent("all", kernel_rule), parent("default", kernel_rule),
                                         parent("\xff\xfe", "a name is text in UTF-8"),
                                         parent("a%d", letter_rule), parent("a b", letter_rule),
                                         parent("a\tb", letter_rule), parent("a\x7f", letter_rule),
                                         parent(std::string("a\0b", 3), letter_rule)));

Refused name(const std::string& text, const std::string& prefix) {
    return {[=](InterfaceText& spec) { spec.name = text; },
            "use device name '" + text + "': libvirt takes names that begin with '" + prefix +
                "' as its own (choose another, for example tl0)"};
}

INSTANTIATE_TEST_SUITE_P(Name, InterfaceSpecRefused,
                         testing::Values(name("vnet0", "vnet"), name("vif1.0", "vif"),
                                         name("macvtap0", "macvtap"), name("macvlan", "macvlan"),
                                         Refused{[](InterfaceText& spec) { spec.name = "a/b"; },
                                                 std::string("use interface name 'a/b': ") +
                                                     letter_rule}));

INSTANTIATE_TEST_SUITE_P(
    Words, InterfaceSpecRefused,
    testing::Values(
        Refused{[](InterfaceText& spec) { spec.mode = "Bridge"; },
                "read mode 'Bridge': not one of bridge, vepa, private, passthru, source"},
        Refused{[](InterfaceText& spec) { spec.mode = ""; },
                "read mode '': not one of bridge, vepa, private, passthru, source"},
        Refused{[](InterfaceText& spec) { spec.kind = "tap"; },
                "read kind 'tap': not one of macvtap, ipvtap"},
        Refused{[](InterfaceText& spec) { spec.multicast = "some"; },
                "read multicast policy 'some': not one of all, joined, none"}));

INSTANTIATE_TEST_SUITE_P(
    Numbers, InterfaceSpecRefused,
    testing::Values(Refused{[](InterfaceText& spec) { spec.mtu = "67"; },
                            "read MTU '67': not a number from 68 to 65535"},
                    Refused{[](InterfaceText& spec) { spec.mtu = "65536"; },
                            "read MTU '65536': not a number from 68 to 65535"},
                    Refused{[](InterfaceText& spec) { spec.queues = "0"; },
                            "read number of queues '0': not a number from 1 to 256"},
                    Refused{[](InterfaceText& spec) { spec.queues = "257"; },
                            "read number of queues '257': not a number from 1 to 256"},
                    Refused{[](InterfaceText& spec) { spec.queue_length = "0"; },
                            "read queue length '0': not a number from 1 to 65536"},
                    Refused{[](InterfaceText& spec) { spec.queue_length = "many"; },
                            "read queue length 'many': not a number from 1 to 65536"}));

INSTANTIATE_TEST_SUITE_P(
    People, InterfaceSpecRefused,
    testing::Values(
        Refused{[](InterfaceText& spec) { spec.owner = "no-such-user"; },
                "read owner 'no-such-user': no user 'no-such-user' (write USER or USER:GROUP, "
                "names or numbers)"},
        Refused{[](InterfaceText& spec) { spec.owner = ":root"; },
                "read owner ':root': no user '' (write USER or USER:GROUP, names or numbers)"},
        Refused{[](InterfaceText& spec) { spec.owner = "root:no-such-group"; },
                "read owner 'root:no-such-group': no group 'no-such-group' (write USER or "
                "USER:GROUP, names or numbers)"}));

INSTANTIATE_TEST_SUITE_P(
    Addresses, InterfaceSpecRefused,
    testing::Values(
        Refused{[](InterfaceText& spec) { spec.mac = "1:2:3"; },
                "read MAC address '1:2:3': not six hexadecimal pairs (write it as "
                "52:54:00:12:34:56)"},
        Refused{[](InterfaceText& spec) {
                    spec.mode = "source";
                    spec.allow = {"ff:ff:ff:ff:ff:ff"};
                },
                "read MAC address 'ff:ff:ff:ff:ff:ff': a multicast address cannot "
                "belong to one guest (write it as 52:54:00:12:34:56)"},
        Refused{[](InterfaceText& spec) { spec.allow = {"52:54:00:00:00:01"}; },
                "use --allow: mode bridge has no list of allowed MAC addresses (leave it out)"},
        Refused{[](InterfaceText& spec) {
                    spec.mode = "source";
                    spec.allow = {"52:54:00:00:00:01", "52:54:00:00:00:01"};
                },
                "allow MAC address '52:54:00:00:00:01': it is named twice"},
        Refused{[](InterfaceText& spec) {
                    spec.mode = "source";
                    for (int i = 0; i < 257; ++i) {
                        spec.allow.push_back(MacAddress::random().text());
                    }
                },
                "allow 257 MAC addresses: a device takes at most 256"},
        Refused{[](InterfaceText& spec) { spec.mode = "passthru"; },
                "use --mac: a device in mode passthru has its parent's address (leave it out)"}));

INSTANTIATE_TEST_SUITE_P(
    Combinations, InterfaceSpecRefused,
    testing::Values(
        Refused{[](InterfaceText& spec) { spec.kind = "ipvtap"; },
                "use --mac: a device of kind ipvtap has its parent's address (leave it out)"},
        Refused{[](InterfaceText& spec) {
                    spec.mac.reset();
                    spec.kind = "ipvtap";
                    spec.mode = "passthru";
                },
                "use --mode: an ipvtap has no mode passthru (leave it out)"},
        Refused{[](InterfaceText& spec) {
                    spec.mac.reset();
                    spec.kind = "ipvtap";
                    spec.broadcast_queue_length = "5";
                },
                "use --broadcast-queue-length: an ipvtap has no such queue (leave it out)"},
        Refused{[](InterfaceText& spec) { spec.layer = "l3"; },
                "use --layer: only an ipvtap has one (leave it out)"},
        Refused{[](InterfaceText& spec) { spec.nopromisc = true; },
                "use --nopromisc: mode bridge leaves its parent as it is (leave it out)"},
        Refused{[](InterfaceText& spec) { spec.node_mode = "888"; },
                "read node mode '888': not an octal number from 0 to 777 (for example 660)"},
        Refused{[](InterfaceText& spec) { spec.node_mode = "7777"; },
                "read node mode '7777': not an octal number from 0 to 777 (for example 660)"},
        Refused{[](InterfaceText& spec) { spec.broadcast_queue_length = "0"; },
                "read broadcast queue length '0': not a number from 1 to 65536"}));

} // namespace
} // namespace tapline
