// `tapline host-link add`, `list` and `remove`: the host reaches its guests, and what is refused.
#include "tests/fakes/front_end.h"
#include "tests/netns/host_link_lab.h"
#include "tests/netns/packets.h"
#include "tests/netns/tap_guest.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>

namespace tapline::netns {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;

constexpr auto moment = std::chrono::milliseconds(200);

// The guest 192.0.2.1, 2001:db8::1 plays on a queue of a macvtap; packets.h has these addresses.
TapGuest make_guest() {
    run(program_path("backend/tapline") +
        " create --parent uplink --name tl0 --mac 52:54:00:00:00:01 > /dev/null");
    return TapGuest("tl0");
}

// A program of the host on UDP port 2000.
class HostProgram {
public:
    explicit HostProgram(Ip ip)
        : ip_(ip), socket_(socket(ip == Ip::v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0)) {
        const int on = 1;
        setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (ip == Ip::v4) {
            const sockaddr_in any{.sin_family = AF_INET, .sin_port = htons(2000)};
            attach(any);
        } else {
            const sockaddr_in6 any{.sin6_family = AF_INET6, .sin6_port = htons(2000)};
            attach(any);
        }
    }

    bool send_to_guest(const Bytes& payload) const {
        if (ip_ == Ip::v4) {
            sockaddr_in guest{.sin_family = AF_INET, .sin_port = htons(3000)};
            inet_pton(AF_INET, "192.0.2.1", &guest.sin_addr);
            return send_to(guest, payload);
        }
        sockaddr_in6 guest{.sin6_family = AF_INET6, .sin6_port = htons(3000)};
        inet_pton(AF_INET6, "2001:db8::1", &guest.sin6_addr);
        return send_to(guest, payload);
    }

    std::optional<Bytes> receive(std::chrono::milliseconds limit = fakes::deadline) const {
        if (!fakes::wait_readable(socket_.get(), limit)) {
            return std::nullopt;
        }
        Bytes payload(2000);
        payload.resize(static_cast<size_t>(
            std::max<ssize_t>(recv(socket_.get(), payload.data(), payload.size(), 0), 0)));
        return payload;
    }

private:
    template <typename Address> void attach(const Address& any) {
        if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) < 0) {
            throw std::runtime_error("cannot bind to port 2000");
        }
    }

    template <typename Address> bool send_to(const Address& guest, const Bytes& payload) const {
        return sendto(socket_.get(), payload.data(), payload.size(), 0,
                      reinterpret_cast<const sockaddr*>(&guest),
                      sizeof guest) == static_cast<ssize_t>(payload.size());
    }

    Ip ip_;
    UniqueFd socket_;
};

Mac mac_of(const std::string& name) {
    return MacAddress::parse(link(name).at("address").get<std::string>()).bytes();
}

Mac mac_at(const Bytes& frame, size_t offset) {
    Mac mac{};
    std::ranges::transform(std::span(frame).subspan(offset, mac.size()), mac.begin(),
                           [](std::byte byte) { return std::to_integer<uint8_t>(byte); });
    return mac;
}

class ReachingGuests : public HostLinks, public testing::WithParamInterface<Ip> {
protected:
    static std::string neighbour(const std::string& link) {
        return "ip neighbour replace " + std::string(v4() ? "192.0.2.1" : "2001:db8::1") +
               " lladdr 52:54:00:00:00:01 dev " + link;
    }
    static bool v4() { return GetParam() == Ip::v4; }
    static Packet packet_to(const std::string& link, const Bytes& payload) {
        return {.to = mac_of(link),
                .from = guest_mac,
                .ip = GetParam(),
                .transport = Transport::udp,
                .payload = payload};
    }

    const Bytes to_guest_ = frame_to_guest(1);
    const Bytes to_host_ = frame_to_wire(2);
};

TEST_P(ReachingGuests, FailsThroughTheParent) {
    run("ip address add 192.0.2.2/24 dev uplink");
    run("ip address add 2001:db8::2/64 dev uplink nodad");
    TapGuest guest = make_guest();
    Station wire("peer0");
    const HostProgram program(GetParam());
    run(neighbour("uplink"));
    ASSERT_TRUE(program.send_to_guest(to_guest_));
    bool on_the_wire = false;
    while (!on_the_wire) { // Then it went out, and past the guest.
        const auto frame = wire.receive(fakes::deadline);
        ASSERT_TRUE(frame);
        on_the_wire = std::ranges::search(*frame, to_guest_).begin() != frame->end();
    }
    EXPECT_FALSE(receive_with(guest, to_guest_, moment));
    guest.send(packet_to("uplink", to_host_).frame());
    EXPECT_FALSE(program.receive(moment));
}

TEST_P(ReachingGuests, WorksThroughTheHostLinkInBothDirections) {
    run("ip address add 192.0.2.9/24 dev uplink");
    run("ip address add 2001:db8::9/64 dev uplink nodad");
    TapGuest guest = make_guest();
    const HostProgram program(GetParam());
    add({"--address", "192.0.2.2,2001:db8::2", "--route", "192.0.2.1,2001:db8::1"});
    run(neighbour("th0"));
    ASSERT_TRUE(program.send_to_guest(to_guest_));
    const auto received = receive_with(guest, to_guest_);
    ASSERT_TRUE(received);
    EXPECT_EQ(mac_at(*received, 0), guest_mac);
    EXPECT_EQ(mac_at(*received, guest_mac.size()), mac_of("th0"));
    EXPECT_EQ(parse(*received, Checksum::complete).payload, to_guest_);
    guest.send(packet_to("th0", to_host_).frame());
    EXPECT_EQ(program.receive(), to_host_);
}

INSTANTIATE_TEST_SUITE_P(Versions, ReachingGuests, testing::Values(Ip::v4, Ip::v6),
                         [](const auto& test) { return test.param == Ip::v4 ? "IPv4" : "IPv6"; });

TEST_F(HostLinks, AppearAsAskedFor) {
    add({"--name", "host0", "--mac", "52:54:00:aa:bb:cc", "--address", "192.0.2.2/24", "--address",
         "2001:db8::2/64", "--route", "198.51.100.0/24,198.51.100.0/25,2001:db8:1::/64"});
    const auto made = link("host0");
    EXPECT_EQ(made.at("linkinfo").at("info_kind"), "macvlan");
    EXPECT_EQ(made.at("linkinfo").at("info_data").at("mode"), "bridge");
    EXPECT_EQ(made.at("link"), "uplink");
    EXPECT_EQ(made.at("address"), "52:54:00:aa:bb:cc");
    EXPECT_EQ(made.at("ifalias"), "tapline host-link");
    EXPECT_THAT(made.at("flags").get<Arguments>(), testing::Contains("UP"));
    EXPECT_THAT(addresses("host0"), ElementsAre("192.0.2.2/24", "2001:db8::2/64"));
    EXPECT_THAT(output_of("ip route show 198.51.100.0/24"),
                HasSubstr("dev host0 proto static scope link"));
    EXPECT_THAT(output_of("ip -6 route show 2001:db8:1::/64"), HasSubstr("dev host0"));
}

TEST_F(HostLinks, CanBeSentFromAtOnce) {
    run("echo 1 > /proc/sys/net/ipv6/conf/default/accept_dad");
    add({"--address", "2001:db8::2/64"});
    EXPECT_EQ(output_of("ip -6 address show dev th0 scope global tentative"), "");
}

TEST_F(HostLinks, AreListedAsJsonAndAsATable) {
    EXPECT_EQ(listed(), nlohmann::json::array());
    EXPECT_EQ(host_link({"list"}).output, "");
    const Outcome added = host_link({"add", "uplink", "--mac", "52:54:00:00:00:09", "--address",
                                     "192.0.2.2", "--route", "198.51.100.0/24", "--json"});
    const nlohmann::json expected = {{"device", "th0"},
                                     {"parent", "uplink"},
                                     {"mac", "52:54:00:00:00:09"},
                                     {"complete", true},
                                     {"addresses", {"192.0.2.2/32"}},
                                     {"routes", {"198.51.100.0/24"}},
                                     {"moved_addresses", nlohmann::json::array()}};
    EXPECT_EQ(nlohmann::json::parse(added.output), expected);
    EXPECT_EQ(listed(), nlohmann::json::array({expected}));
    EXPECT_THAT(host_link({"list"}).output, HasSubstr("192.0.2.2/32"));
}

TEST_F(HostLinks, TakeTheFirstFreeName) {
    run("ip link add th0 type veth peer name other0");
    EXPECT_EQ(host_link({"add", "uplink", "--address", "192.0.2.2"}).output, "th1\n");
    run("ip link delete th0");
}

TEST_F(HostLinks, BringTheirParentUp) {
    run("ip link set uplink down");
    add({"--address", "192.0.2.2"});
    EXPECT_THAT(link("uplink").at("flags").get<Arguments>(), testing::Contains("UP"));
}

TEST_F(HostLinks, WarnOfGuestsOutOfReach) {
    run("ip link add link uplink name vepa0 type macvtap mode vepa");
    run("ip link add link uplink name near0 type macvtap mode bridge");
    const Outcome added = host_link({"add", "uplink", "--address", "192.0.2.2"});
    EXPECT_EQ(added.status, 0);
    EXPECT_THAT(added.errors, HasSubstr("'vepa0' is in mode vepa"));
    EXPECT_THAT(added.errors, Not(HasSubstr("near0")));
}

TEST_F(HostLinks, AreRemovedByParentOrName) {
    const auto before = state();
    for (const char* word : {"uplink", "th0"}) {
        add({"--address", "192.0.2.2/24,2001:db8::2/64", "--route", "198.51.100.0/24"});
        const Outcome removed = host_link({"remove", word});
        EXPECT_EQ(removed.status, 0) << removed.errors;
        EXPECT_EQ(removed.output + removed.errors, "");
        EXPECT_EQ(state(), before);
        EXPECT_EQ(listed(), nlohmann::json::array());
    }
    EXPECT_EQ(host_link({"remove", "uplink"}).status, 0) << "there is nothing left to do";
    const Outcome again = host_link({"remove", "th0"});
    EXPECT_EQ(again.status, 1);
    EXPECT_THAT(again.errors, HasSubstr("th0"));
}

TEST_F(HostLinks, AreRemovedAfterTheyWereRenamed) {
    const auto before = state();
    add({"--address", "192.0.2.2"});
    run("ip link set th0 down && ip link set th0 name other0 address 52:54:00:00:00:aa");
    EXPECT_EQ(host_link({"remove", "other0"}).status, 0);
    EXPECT_EQ(state(), before);
}

TEST_F(HostLinks, AreRemovedWithoutTheirRecord) {
    const auto before = state();
    add({"--address", "192.0.2.2"});
    run("rm -r /run/tapline");
    EXPECT_EQ(listed().size(), 1U);
    EXPECT_EQ(host_link({"remove", "th0"}).status, 0);
    EXPECT_EQ(state(), before);
}

TEST_F(HostLinks, AreForgottenWithTheirParent) {
    add({"--address", "192.0.2.2"});
    run("ip link delete uplink && ip link add uplink type veth peer name peer0");
    EXPECT_EQ(listed(), nlohmann::json::array());
    add({"--address", "192.0.2.2"});
    EXPECT_EQ(listed().size(), 1U);
}

TEST_F(HostLinks, AreMadeOnceWhereTwoAreAskedForAtOnce) {
    Program one("backend/tapline", {"host-link", "add", "uplink", "--address", "192.0.2.2"});
    Program other("backend/tapline", {"host-link", "add", "uplink", "--address", "192.0.2.3"});
    EXPECT_EQ(one.wait() + other.wait(), 1);
    EXPECT_EQ(listed().size(), 1U);
}

TEST_F(HostLinks, OfOthersAreNotRemoved) {
    run("ip link add link uplink name plain0 type macvlan mode bridge");
    run("ip link add link uplink name tap0 type macvtap && ip link set tap0 alias tapline");
    const auto before = state();
    for (const char* name : {"plain0", "tap0", "nosuch0"}) {
        const Outcome refused = host_link({"remove", name});
        EXPECT_EQ(refused.status, 1);
        EXPECT_THAT(refused.errors, HasSubstr(name));
    }
    EXPECT_EQ(host_link({"remove", "uplink"}).status, 0);
    EXPECT_EQ(state(), before);
    EXPECT_EQ(listed(), nlohmann::json::array());
}

struct Refusal {
    std::string name;
    std::string preparation;            // Commands.
    std::vector<std::string> arguments; // Of add.
    std::string subject;                // That the sentence names.
    friend void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.name; }
};

class HostLinkRefusals : public HostLinks, public testing::WithParamInterface<Refusal> {
protected:
    HostLinkRefusals() {
        run("ip address add 192.0.2.9/24 dev uplink");
        run("ip address add 203.0.113.1/24 dev peer0");
    }
};

TEST_P(HostLinkRefusals, TellWhyInOneSentenceAndChangeNothing) {
    run(GetParam().preparation + ":");
    const auto before = state();
    const auto records = output_of("cat /run/tapline/host-links/* 2> /dev/null");
    Arguments arguments = GetParam().arguments;
    arguments.insert(arguments.begin(), "add");
    const Outcome refused = host_link(arguments);
    EXPECT_EQ(refused.status, 1);
    EXPECT_EQ(refused.output, "");
    EXPECT_THAT(refused.errors, HasSubstr(GetParam().subject));
    EXPECT_EQ(refused.errors.find('\n'), refused.errors.size() - 1) << refused.errors;
    EXPECT_EQ(state(), before);
    EXPECT_EQ(output_of("cat /run/tapline/host-links/* 2> /dev/null"), records);
    run("ip link delete bridge0 2> /dev/null; true");
}

Refusal on_parent(const std::string& name, const std::string& preparation,
                  const std::string& parent, const std::string& subject) {
    return {name, preparation, {parent, "--address", "192.0.2.2"}, subject};
}

Refusal with_options(const std::string& name, std::vector<std::string> options,
                     const std::string& subject) {
    options.insert(options.begin(), "uplink");
    return {name, "", std::move(options), subject};
}

INSTANTIATE_TEST_SUITE_P(
    Parents, HostLinkRefusals,
    testing::Values(on_parent("Missing", "", "nosuch0", "'nosuch0': no such interface"),
                    on_parent("Loopback", "", "lo", "'lo': it carries no Ethernet"),
                    on_parent("NameTooLong", "", "abcdefghijklmnop", "abcdefghijklmnop"),
                    on_parent("OfABridge",
                              "ip link add bridge0 type bridge; ip link set uplink master bridge0;",
                              "uplink", "it belongs to 'bridge0'"),
                    on_parent("InPassthru",
                              "ip link add link uplink name pass0 type macvtap mode passthru;",
                              "uplink", "'pass0' has it to itself"),
                    on_parent("AMacvtap", "ip link add link uplink name tap0 type macvtap;", "tap0",
                              "name its parent, 'uplink'"),
                    on_parent("WithAHostLink",
                              program_path("backend/tapline") +
                                  " host-link add uplink --address 192.0.2.77 > /dev/null;",
                              "uplink", "it has the host link 'th0' already")),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Options, HostLinkRefusals,
    testing::Values(
        with_options("AddressNonsense", {"--address", "any"}, "address 'any'"),
        with_options("AddressEmptyInList", {"--address", "192.0.2.2,"}, "address ''"),
        with_options("AddressTwice", {"--address", "192.0.2.2/32,192.0.2.2/24"}, "given twice"),
        with_options("AddressLength", {"--address", "192.0.2.2/33"}, "'33'"),
        with_options("AddressMulticast", {"--address", "224.0.0.5"}, "224.0.0.5"),
        with_options("AddressOfParent", {"--address", "192.0.2.9"}, "'uplink' has it already"),
        with_options("AddressOfAnother", {"--address", "203.0.113.1"}, "'peer0' has it already"),
        with_options("AddressOfTheParentsNetwork", {"--address", "192.0.2.2/24"},
                     "still reach 192.0.2.0/24 through 'uplink'"),
        with_options("AddressThatMoves", {"--address", "192.0.2.9", "--move-address"},
                     "leave it out"),
        with_options("RouteTwice", {"--address", "192.0.2.2", "--route", "10.0.0.0/8,10.0.0.0/8"},
                     "given twice"),
        with_options("RouteWithHostBits", {"--address", "192.0.2.2", "--route", "10.0.0.1/8"},
                     "write 10.0.0.0/8"),
        with_options("RouteThatExists", {"--address", "192.0.2.2", "--route", "203.0.113.0/24"},
                     "add route 203.0.113.0/24"),
        with_options("RouteDefault", {"--address", "192.0.2.2", "--route", "0.0.0.0/0"},
                     "needs a gateway"),
        with_options("NameTaken", {"--address", "192.0.2.2", "--name", "peer0"}, "'peer0'"),
        with_options("NameTooLong", {"--address", "192.0.2.2", "--name", "abcdefghijklmnop"},
                     "abcdefghijklmnop"),
        with_options("NameReserved", {"--address", "192.0.2.2", "--name", "macvlan7"}, "macvlan7"),
        with_options("MacMulticast", {"--address", "192.0.2.2", "--mac", "01:00:5e:00:00:01"},
                     "01:00:5e:00:00:01"),
        Refusal{"MacTaken",
                "ip link add link uplink name tap0 address 52:54:00:00:00:77 type macvtap;",
                {"uplink", "--address", "192.0.2.2", "--mac", "52:54:00:00:00:77"},
                "'tap0' has the MAC address 52:54:00:00:00:77"},
        Refusal{"MacOfTheParent",
                "ip link set uplink address 52:54:00:00:00:78;",
                {"uplink", "--address", "192.0.2.2", "--mac", "52:54:00:00:00:78"},
                "'uplink' has the MAC address 52:54:00:00:00:78"},
        Refusal{"Ipv6Off",
                "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6;",
                {"uplink", "--address", "2001:db8::2"},
                "add address 2001:db8::2/128 to 'th0'"}),
    [](const auto& test) { return test.param.name; });

struct Misuse {
    std::string name;
    std::vector<std::string> arguments;
    friend void PrintTo(const Misuse& misuse, std::ostream* out) { *out << misuse.name; }
};

class HostLinkMisuse : public HostLinks, public testing::WithParamInterface<Misuse> {};

TEST_P(HostLinkMisuse, IsExitCodeTwo) {
    const auto before = state();
    const Outcome refused = host_link(GetParam().arguments);
    EXPECT_EQ(refused.status, 2);
    EXPECT_EQ(refused.output, "");
    EXPECT_NE(refused.errors, "");
    EXPECT_EQ(state(), before);
}

INSTANTIATE_TEST_SUITE_P(
    Usage, HostLinkMisuse,
    testing::Values(Misuse{"NoVerb", {}}, Misuse{"UnknownVerb", {"frobnicate"}},
                    Misuse{"AddWithoutParent", {"add", "--address", "192.0.2.2"}},
                    Misuse{"AddWithoutAddress", {"add", "uplink"}},
                    Misuse{"AddTwoParents", {"add", "uplink", "peer0", "--move-address"}},
                    Misuse{"AddUnknownOption", {"add", "uplink", "--bogus"}},
                    Misuse{"RemoveNothing", {"remove"}},
                    Misuse{"RemoveTwo", {"remove", "uplink", "peer0"}},
                    Misuse{"ListStrayArgument", {"list", "uplink"}}),
    [](const auto& test) { return test.param.name; });

} // namespace
} // namespace tapline::netns
