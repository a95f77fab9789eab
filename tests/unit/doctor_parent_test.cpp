// What `tapline doctor` makes of interfaces and domains; what a kernel cannot be made to show in a
// test above all.
#include "backend/doctor/domain_checks.h"
#include "backend/doctor/parent_checks.h"
#include "tests/unit/fake_host.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tapline::doctor {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;

Check check_of_parent(const Parent& parent, const std::string& what) {
    return check_of(parent_checks(parent.name, parent), what + " " + parent.name);
}

TEST(DoctorParent, OnTheWireIsFine) {
    const Checks checks = parent_checks("eth0", Parent{.name = "eth0"});
    EXPECT_THAT(checks, Each(Field("state", &Check::state, State::ok)));
    EXPECT_EQ(checks.size(), 7);
}

class DoctorParentOnAnother : public testing::TestWithParam<const char*> {};

TEST_P(DoctorParentOnAnother, NamesTheRealParent) {
    const Parent parent{.name = "dev0", .kind = GetParam(), .stands_on = "eth0"};
    const Checks checks = parent_checks("dev0", parent);
    ASSERT_EQ(checks.size(), 1);
    EXPECT_EQ(checks[0].state, State::broken);
    EXPECT_EQ(checks[0].detail, fmt::format("a {} itself", GetParam()));
    EXPECT_EQ(checks[0].mend, "tapline doctor --parent eth0");
}

INSTANTIATE_TEST_SUITE_P(Kinds, DoctorParentOnAnother,
                         testing::Values("macvtap", "macvlan", "ipvtap", "ipvlan"));

TEST(DoctorParent, OnOneOfAnotherNamespaceIsBrokenToo) {
    const Parent parent{.name = "dev0", .kind = "macvlan", .stands_on = ""};
    EXPECT_EQ(check_of_parent(parent, "parent").state, State::broken);
    EXPECT_THAT(check_of_parent(parent, "parent").mend, HasSubstr("network namespace"));
}

TEST(DoctorParent, WithoutCarrierIsLimited) {
    EXPECT_EQ(check_of_parent({.name = "eth0", .carrier = false}, "parent-link").state,
              State::limited);
}

TEST(DoctorParent, WirelessWorksInModePassthruOnly) {
    const Check check = check_of_parent({.name = "wlan0", .wireless = true}, "parent-wireless");
    EXPECT_EQ(check.state, State::limited);
    EXPECT_EQ(check.mend, "tapline create --parent wlan0 --mode passthru");
}

TEST(DoctorParent, ThatMergesFramesIsLimited) {
    const Check check = check_of_parent({.name = "eth0", .lro = true}, "parent-lro");
    EXPECT_EQ(check.state, State::limited);
    EXPECT_EQ(check.mend, "ethtool -K eth0 lro off");
}

TEST(DoctorParent, TooSmallForIpv6IsLimited) {
    EXPECT_EQ(check_of_parent({.name = "eth0", .mtu = 1279}, "parent-mtu").state, State::limited);
    EXPECT_EQ(check_of_parent({.name = "eth0", .mtu = 1280}, "parent-mtu").state, State::ok);
}

TEST(DoctorParent, OfABondNamesTheBondInstead) {
    const Check check = check_of_parent({.name = "eth0", .master = "bond0", .master_kind = "bond"},
                                        "parent-master");
    EXPECT_EQ(check.state, State::broken);
    EXPECT_EQ(check.mend, "tapline doctor --parent bond0");
}

TEST(DoctorParent, OfOpenVswitchIsTakenOutOfIt) {
    const Check check = check_of_parent(
        {.name = "eth0", .master = "ovs-system", .master_kind = "openvswitch"}, "parent-master");
    EXPECT_EQ(check.state, State::broken);
    EXPECT_EQ(check.mend, "ovs-vsctl del-port eth0");
}

TEST(DoctorParent, OfAVrfIsFine) {
    EXPECT_EQ(
        check_of_parent({.name = "eth0", .master = "red", .master_kind = "vrf"}, "parent-master")
            .state,
        State::ok);
}

TEST(DoctorParent, NameIsOneWordOfTheCommandThatMends) {
    EXPECT_EQ(check_of_parent({.name = "a;reboot", .up = false}, "parent-link").mend,
              "ip link set 'a;reboot' up");
}

nlohmann::json domain_with(const nlohmann::json& card) {
    nlohmann::json all = {{"type", "direct"}, {"line", 5},         {"parent", nullptr},
                          {"mode", nullptr},  {"socket", nullptr}, {"target", nullptr},
                          {"mac", nullptr},   {"model", "virtio"}, {"queues", 1},
                          {"mtu", nullptr}};
    all.update(card);
    return {{"name", "web1"},
            {"vcpus", 2},
            {"shared_memory", false},
            {"hugepages", false},
            {"interfaces", {all}}};
}

class DoctorDomain : public testing::Test {
protected:
    Check check(const nlohmann::json& domain, const std::string& name) const {
        return check_of(domain_checks(fake_.host(), domain), name);
    }

    FakeHost fake_;
};

TEST_F(DoctorDomain, NeedsSharedMemoryForVhostUserOnly) {
    auto domain = domain_with({{"type", "vhostuser"}});
    EXPECT_EQ(check(domain, "domain-memory web1").state, State::broken);
    domain["shared_memory"] = true;
    EXPECT_EQ(check(domain, "domain-memory web1").state, State::ok);
    EXPECT_EQ(check(domain_with({{"type", "direct"}}), "domain-memory web1").state, State::ok);
}

TEST_F(DoctorDomain, ThatAsksForHugepagesNeedsSome) {
    auto domain = domain_with(nlohmann::json::object());
    domain["hugepages"] = true;
    EXPECT_EQ(check(domain, "domain-hugepages web1").state, State::broken);
    fake_.write("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512\n");
    EXPECT_EQ(check(domain, "domain-hugepages web1").state, State::ok);
}

TEST_F(DoctorDomain, MoreQueuesThanVcpusAreLimited) {
    EXPECT_EQ(check(domain_with({{"queues", 2}}), "domain-card web1/1").state, State::ok);
    const Check over = check(domain_with({{"queues", 3}}), "domain-card web1/1");
    EXPECT_EQ(over.state, State::limited);
    EXPECT_THAT(over.detail, HasSubstr("line 5, 3 queue pairs for 2 vCPUs"));
}

TEST_F(DoctorDomain, NamesThatLibvirtTakesAsItsOwnAreBroken) {
    const auto named = [](const char* name) {
        return domain_with({{"type", "ethernet"}, {"target", name}});
    };
    EXPECT_EQ(check(named("tl0"), "domain-card web1/1").state, State::ok);
    for (const char* name : {"vnet0", "vif1", "macvtap0", "macvlan3"}) {
        EXPECT_EQ(check(named(name), "domain-card web1/1").state, State::broken) << name;
    }
    EXPECT_EQ(check(domain_with({{"target", "macvtap0"}}), "domain-card web1/1").state, State::ok)
        << "libvirt made the device and its name";
}

TEST_F(DoctorDomain, OnlyVirtioSpeaksVhostUser) {
    EXPECT_EQ(
        check(domain_with({{"type", "vhostuser"}, {"model", "e1000"}}), "domain-card web1/1").state,
        State::broken);
    EXPECT_EQ(check(domain_with({{"type", "vhostuser"}, {"model", "virtio-non-transitional"}}),
                    "domain-card web1/1")
                  .state,
              State::ok);
}

TEST_F(DoctorDomain, NamesEachParentOnce) {
    auto domain = domain_with({{"parent", "eth0"}});
    domain["interfaces"].push_back(domain["interfaces"][0]);
    domain["interfaces"].push_back({{"parent", nullptr}});
    EXPECT_THAT(parents_of(domain), ElementsAre("eth0"));
}

} // namespace
} // namespace tapline::doctor
