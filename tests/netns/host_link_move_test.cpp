// `tapline host-link add --move-address`: the parent's addresses and routes go to the host link,
// and come back as they were: after `remove`, after a failure and after a kill at any moment.
#include "tests/fakes/front_end.h"
#include "tests/netns/host_link_lab.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <vector>

namespace tapline::netns {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class MovedAddresses : public HostLinks {
protected:
    MovedAddresses() {
        run("ip address add 192.0.2.5/24 broadcast + dev uplink label uplink:a");
        run("ip address add 192.0.2.6/24 dev uplink");
        run("ip address add 198.51.100.1 peer 198.51.100.2 dev uplink metric 77");
        run("ip address add 2001:db8::5/64 dev uplink");
        run("ip address add 2001:db8::6/64 dev uplink nodad");
        run("ip address add 198.18.0.5/16 dev uplink noprefixroute");
        run("ip address add 2001:db8:5::5/64 dev uplink noprefixroute nodad");
        (void)state(); // A source address must not be tentative.
        run("ip route add default via 192.0.2.1 dev uplink metric 100 src 192.0.2.6 mtu 1400");
        run("ip route add 10.0.0.0/8 via 192.0.2.2 table 77");
        run("ip route add 10.1.0.0/16 nexthop via 192.0.2.3 dev uplink weight 2"
            " nexthop via 192.0.2.4 dev uplink");
        run("ip route add 10.2.0.0/16 via 172.16.0.1 dev uplink onlink");
        run("ip -6 route add default via 2001:db8::1 dev uplink src 2001:db8::6");
        run("ip -6 route add 2001:db8:1::/64 via fe80::1 dev uplink metric 7 pref high");
        run("ip -6 route add 2001:db8:2::/64 nexthop via 2001:db8::2 dev uplink"
            " nexthop via 2001:db8::3 dev uplink");
        // As NetworkManager makes them.
        run("ip route add 198.18.0.0/16 dev uplink proto kernel scope link src 198.18.0.5 metric "
            "9");
        run("ip -6 route add 2001:db8:5::/64 dev uplink proto kernel metric 9");
        before_ = state();
    }

    // Runs "host-link WORDS" until it is killed as it enters the nth such system call. False where
    // it makes fewer calls and comes to its end.
    static bool killed_at(const std::string& call, int nth, const std::string& words) {
        // The search for leaks does not work under ptrace.
        const std::string status = output_of(
            "ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 strace -f -o /dev/null -e inject=" + call +
            ":signal=KILL:when=" + std::to_string(nth) + " " + program_path("backend/tapline") +
            " host-link " + words + " > /dev/null 2>&1; echo $?");
        EXPECT_TRUE(status == "0\n" || status == "137\n") << status;
        return status == "137\n";
    }

    nlohmann::json before_;
};

TEST_F(MovedAddresses, AreTheHostLinksWithAllRoutes) {
    add({"--move-address"});
    EXPECT_THAT(addresses("uplink"), IsEmpty());
    EXPECT_THAT(addresses("th0"),
                ElementsAre("192.0.2.5/24", "198.51.100.1/32", "198.18.0.5/16", "192.0.2.6/24",
                            "2001:db8:5::5/64", "2001:db8::6/64", "2001:db8::5/64"));
    EXPECT_EQ(output_of("ip -4 route show table all | grep uplink"), "");
    EXPECT_EQ(output_of("ip -6 route show table all | grep uplink | grep -v -e fe80: -e ff00:"),
              "");
    EXPECT_THAT(output_of("ip route show default"),
                HasSubstr("via 192.0.2.1 dev th0 src 192.0.2.6 metric 100 mtu 1400"));
    EXPECT_THAT(output_of("ip route show table 77"), HasSubstr("10.0.0.0/8 via 192.0.2.2 dev th0"));
    EXPECT_THAT(output_of("ip route show 10.1.0.0/16"),
                HasSubstr("via 192.0.2.3 dev th0 weight 2"));
    EXPECT_THAT(output_of("ip route show 10.2.0.0/16"), HasSubstr("dev th0 onlink"));
    EXPECT_THAT(output_of("ip -6 route show default"),
                HasSubstr("via 2001:db8::1 dev th0 src 2001:db8::6"));
    EXPECT_THAT(output_of("ip -6 route show 2001:db8:1::/64"), HasSubstr("via fe80::1 dev th0"));
    EXPECT_THAT(output_of("ip route show 198.18.0.0/16"), HasSubstr("dev th0 proto kernel"));
    EXPECT_THAT(output_of("ip -6 route show 2001:db8:5::/64"), HasSubstr("dev th0 proto kernel"));
    EXPECT_EQ(listed().front().at("moved_addresses").size(), 7U);
}

TEST_F(MovedAddresses, ComeBackWhenTheHostLinkIsRemoved) {
    add({"--move-address", "--address", "192.0.2.7/24", "--route", "203.0.113.0/24"});
    const Outcome removed = host_link({"remove", "uplink"});
    EXPECT_EQ(removed.status, 0) << removed.errors;
    EXPECT_EQ(state(), before_);
}

// Until a frame with these bytes comes.
bool wait_for(Station& wire, const std::vector<int>& bytes) {
    std::vector<std::byte> wanted;
    std::ranges::transform(bytes, std::back_inserter(wanted),
                           [](int byte) { return static_cast<std::byte>(byte); });
    while (const auto frame = wire.receive(fakes::deadline)) {
        if (std::ranges::search(*frame, wanted).begin() != frame->end()) {
            return true;
        }
    }
    return false;
}

TEST_F(MovedAddresses, AreAnnouncedToTheNeighbours) {
    Station wire("peer0");
    run("ip link set uplink address 52:54:00:00:00:99");
    before_ = state();
    for (const int last : {0x98, 0x99}) { // The host link's, then the parent's again.
        const Outcome done =
            last == 0x98
                ? host_link({"add", "uplink", "--move-address", "--mac", "52:54:00:00:00:98"})
                : host_link({"remove", "uplink"});
        ASSERT_EQ(done.status, 0) << done.errors;
        EXPECT_TRUE(wait_for(
            wire, {0x52, 0x54, 0, 0, 0, last, 192, 0, 2, 5, 0, 0, 0, 0, 0, 0, 192, 0, 2, 5}));
        EXPECT_TRUE(wait_for(wire, {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0,    0,    0, 0, 0, 0,
                                    0,    0,    0,    5,    2, 1, 0x52, 0x54, 0, 0, 0, last}));
    }
    EXPECT_EQ(state(), before_);
}

// It fails when all has been moved.
TEST_F(MovedAddresses, ComeBackWhenARouteIsRefused) {
    run("ip address add 203.0.113.1/24 dev peer0");
    before_ = state();
    const Outcome refused =
        host_link({"add", "uplink", "--move-address", "--route", "203.0.113.0/24"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.errors, HasSubstr("203.0.113.0/24"));
    EXPECT_EQ(state(), before_);
    EXPECT_EQ(listed(), nlohmann::json::array());
}

TEST_F(MovedAddresses, ComeBackWhenNobodyCanBeToldTheName) {
    const std::string status = output_of(program_path("backend/tapline") +
                                         " host-link add uplink --move-address > /dev/full"
                                         " 2> /dev/null; echo $?");
    EXPECT_EQ(status, "1\n");
    EXPECT_EQ(state(), before_);
}

TEST_F(MovedAddresses, StayWhereIpv6IsOffForNewLinks) {
    run("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    const Outcome refused = host_link({"add", "uplink", "--move-address"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.errors, HasSubstr("disable_ipv6"));
    EXPECT_EQ(state(), before_);
}

TEST_F(MovedAddresses, KeepTheirLifetime) {
    run("ip address add 192.0.2.8/24 dev uplink valid_lft 5000 preferred_lft 4000");
    add({"--move-address"});
    EXPECT_THAT(output_of("ip address show dev th0"),
                testing::ContainsRegex("valid_lft 49[0-9]+sec|valid_lft 5000sec"));
    EXPECT_EQ(host_link({"remove", "uplink"}).status, 0);
    EXPECT_THAT(output_of("ip address show dev uplink"),
                testing::ContainsRegex("valid_lft 49[0-9]+sec|valid_lft 5000sec"));
}

TEST_F(MovedAddresses, StayWhereARouteCannotBeMoved) {
    run("ip nexthop add id 7 via 192.0.2.1 dev uplink && ip route add 10.9.0.0/16 nhid 7");
    const auto with_object = state();
    const Outcome refused = host_link({"add", "uplink", "--move-address"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.errors, HasSubstr("nexthop object 7"));
    EXPECT_EQ(state(), with_object);
    run("ip route delete 10.9.0.0/16 && ip nexthop delete id 7");
    run("ip address add 203.0.113.1/24 dev peer0");
    run("ip route add 10.9.0.0/16 nexthop via 192.0.2.1 nexthop via 203.0.113.2");
    const auto shared = state();
    const Outcome refused_again = host_link({"add", "uplink", "--move-address"});
    EXPECT_EQ(refused_again.status, 1);
    EXPECT_THAT(refused_again.errors, HasSubstr("10.9.0.0/16 goes over other links"));
    EXPECT_EQ(state(), shared);
}

TEST_F(HostLinks, WithNothingToMoveAreRefused) {
    const auto before = state();
    const Outcome refused = host_link({"add", "uplink", "--move-address"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.errors, HasSubstr("no address to move"));
    EXPECT_EQ(state(), before);
}

TEST_F(MovedAddresses, ThatARouterAdvertisedStayWithAWarning) {
    run("ip address add 2001:db8:9::5/64 dev uplink mngtmpaddr nodad");
    const Outcome added = host_link({"add", "uplink", "--move-address"});
    EXPECT_EQ(added.status, 0);
    EXPECT_THAT(added.errors, HasSubstr("a router advertised stay on 'uplink'"));
    EXPECT_THAT(addresses("uplink"), ElementsAre("2001:db8:9::5/64"));
}

constexpr int calls_max = 1000;

class KilledAdd : public MovedAddresses, public testing::WithParamInterface<std::string> {};

TEST_P(KilledAdd, IsUndoneWhollyByRemove) {
    int nth = 1;
    while (killed_at(GetParam(), nth, "add uplink --move-address --route 203.0.113.0/24")) {
        const Outcome removed = host_link({"remove", "uplink"});
        ASSERT_EQ(removed.status, 0) << removed.errors;
        ASSERT_EQ(state(), before_) << "killed at " << GetParam() << " " << nth;
        ASSERT_EQ(output_of("ls /run/tapline/host-links 2> /dev/null"), "");
        ASSERT_LT(++nth, calls_max);
    }
    EXPECT_GT(nth, 1) << "no such call was made";
    EXPECT_TRUE(listed().front().at("complete"));
}

INSTANTIATE_TEST_SUITE_P(Calls, KilledAdd,
                         testing::Values("sendmsg", "recvmsg", "openat", "rename", "fsync"),
                         [](const auto& test) { return test.param; });

class KilledRemove : public MovedAddresses, public testing::WithParamInterface<std::string> {};

TEST_P(KilledRemove, IsFinishedByAnother) {
    int nth = 0;
    bool was_killed = true;
    while (was_killed) {
        add({"--move-address", "--route", "203.0.113.0/24"});
        was_killed = killed_at(GetParam(), ++nth, "remove uplink");
        const Outcome removed = host_link({"remove", "uplink"});
        ASSERT_EQ(removed.status, 0) << removed.errors;
        ASSERT_EQ(state(), before_) << "killed at " << GetParam() << " " << nth;
        ASSERT_LT(nth, calls_max);
    }
    EXPECT_GT(nth, 1) << "no such call was made";
}

// Killed before its first step, it has left a whole host link, which stays.
TEST_P(KilledRemove, IsFinishedByReconcile) {
    int nth = 0;
    bool was_killed = true;
    while (was_killed) {
        add({"--move-address", "--route", "203.0.113.0/24"});
        const auto whole = state();
        was_killed = killed_at(GetParam(), ++nth, "remove uplink");
        const Outcome mended = reconcile();
        ASSERT_EQ(mended.status, 0) << mended.errors;
        const auto after = state();
        ASSERT_EQ(after, record_files().empty() ? before_ : whole)
            << "killed at " << GetParam() << " " << nth;
        ASSERT_EQ(host_link({"remove", "uplink"}).status, 0);
        ASSERT_LT(nth, calls_max);
    }
    EXPECT_GT(nth, 1) << "no such call was made";
}

INSTANTIATE_TEST_SUITE_P(Calls, KilledRemove,
                         testing::Values("sendmsg", "recvmsg", "unlink", "rename"),
                         [](const auto& test) { return test.param; });

TEST_F(MovedAddresses, OfAHalfwayHostLinkAreGivenBackByReconcile) {
    for (const int nth : {8, 16, 24}) {
        ASSERT_TRUE(killed_at("sendmsg", nth, "add uplink --move-address"));
        const Outcome dry = outcome_of("backend/tapline", {"reconcile", "--dry-run"});
        EXPECT_THAT(dry.output, HasSubstr("host link 'th0' on 'uplink': would be removed"));
        EXPECT_FALSE(state() == before_);
        const Outcome mended = outcome_of("backend/tapline", {"reconcile"});
        EXPECT_EQ(mended.status, 0) << mended.errors;
        EXPECT_THAT(mended.output, HasSubstr("host link 'th0' on 'uplink': removed"));
        ASSERT_EQ(state(), before_) << "killed at sendmsg " << nth;
    }
}

TEST_F(MovedAddresses, LeaveNoFileOfAKilledWriterAfterReconcile) {
    ASSERT_TRUE(killed_at("rename", 1, "add uplink --move-address"));
    ASSERT_EQ(record_files().size(), 1U);
    const std::string left = record_files().front();
    EXPECT_THAT(left, HasSubstr(".json."));
    EXPECT_EQ(reconcile({"--dry-run"}).output,
              left + ": would be removed: the process that wrote it is gone\n");
    EXPECT_THAT(record_files(), ElementsAre(left));
    EXPECT_EQ(reconcile().status, 0);
    EXPECT_THAT(record_files(), IsEmpty());
    EXPECT_EQ(state(), before_);
}

TEST_F(MovedAddresses, StayWithAWholeHostLinkInReconcile) {
    add({"--move-address"});
    const auto whole = state();
    const Outcome mended = outcome_of("backend/tapline", {"reconcile"});
    EXPECT_EQ(mended.output + mended.errors, "");
    EXPECT_EQ(state(), whole);
}

TEST_F(MovedAddresses, OfAHalfwayHostLinkAreListedAndBlockAnother) {
    run("ip link add link uplink name tap0 type macvtap mode bridge");
    ASSERT_TRUE(killed_at("sendmsg", 25, "add uplink --move-address"));
    const auto halfway = listed();
    ASSERT_EQ(halfway.size(), 1U);
    EXPECT_EQ(halfway.front().at("complete"), false);
    EXPECT_EQ(halfway.front().at("moved_addresses").size(), 7U);
    EXPECT_THAT(host_link({"list"}).output, HasSubstr("halfway"));
    const Outcome refused = host_link({"add", "uplink", "--address", "192.0.2.77"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.errors, HasSubstr("host-link remove uplink"));
}

TEST_F(MovedAddresses, OfAHostLinkThatIsNotThereYetAreListed) {
    run("ip link add link uplink name tap0 type macvtap mode bridge");
    int nth = 1; // Until the record is written, which comes before the link.
    while (killed_at("sendmsg", nth, "add uplink --move-address") && listed().empty()) {
        ++nth;
    }
    EXPECT_TRUE(link("th0").is_null());
    ASSERT_EQ(listed().size(), 1U);
    EXPECT_EQ(listed().front().at("complete"), false);
    EXPECT_EQ(listed().front().at("moved_addresses").size(), 7U);
}

} // namespace
} // namespace tapline::netns
