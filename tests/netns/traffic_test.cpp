// Whose frames reach whom, in each mode. docs/modes.md has the same table for readers.
#include "tests/netns/lab.h"
#include "tests/netns/program.h"
#include "tests/netns/tap_guest.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <optional>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

namespace tapline::netns {
namespace {

using Arguments = std::vector<std::string>;

constexpr Mac broadcast_mac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr Mac stranger_mac = {0x52, 0x54, 0, 0, 0, 0x77};
constexpr auto moment = std::chrono::milliseconds(150); // For what shall not arrive.

enum class Reach { no, yes, refused }; // Refused: two of them cannot be on one parent.

void PrintTo(Reach reach, std::ostream* out) {
    *out << (reach == Reach::yes ? "yes" : reach == Reach::no ? "no" : "refused");
}

struct Mode {
    const char* name;
    Arguments options;
};

const std::array<Mode, 6> modes = {
    {{"bridge", {"--mode", "bridge"}},
     {"vepa", {"--mode", "vepa"}},
     {"private", {"--mode", "private"}},
     {"passthru", {"--mode", "passthru"}},
     {"nopromisc", {"--mode", "passthru", "--nopromisc"}},
     {"source", {"--mode", "source", "--allow", "52:54:00:00:00:02"}}}};

// The guest is 'tl0'; in mode source it listens to the peer.
class Lab {
public:
    Lab(const Mode& mode, std::chrono::milliseconds limit) : mode_(mode), limit_(limit) {}
    ~Lab() {
        run("ip link delete switch0 2> /dev/null || true");
        std::filesystem::remove_all("/run/tapline");
    }
    Lab(const Lab&) = delete;
    Lab& operator=(const Lab&) = delete;

    Reach guest_to_peer() {
        TapGuest guest = make_guest();
        return expect(guest, frame_between(peer_mac, guest.mac(), 1), peer_);
    }
    Reach peer_to_guest() {
        TapGuest guest = make_guest();
        return expect(peer_, frame_between(guest.mac(), peer_mac, 2), guest);
    }
    Reach broadcast_to_guest() {
        TapGuest guest = make_guest();
        return expect(peer_, frame_between(broadcast_mac, peer_mac, 3), guest);
    }
    Reach stranger_to_guest() {
        TapGuest guest = make_guest();
        return expect(peer_, frame_between(guest.mac(), stranger_mac, 4), guest);
    }
    Reach strangers_broadcast() {
        TapGuest guest = make_guest();
        return expect(peer_, frame_between(broadcast_mac, stranger_mac, 11), guest);
    }
    // The uplink itself, a veth, takes every frame. A bridge, as a NIC, does so only if
    // promiscuous.
    Reach frame_for_another() {
        make_switch("uplink");
        TapGuest guest = make_guest("switch0");
        return expect(peer_, frame_between(stranger_mac, peer_mac, 5), guest);
    }

    Reach guest_to_guest() { return between_guests(std::nullopt); }
    Reach guests_broadcast() { return between_guests(broadcast_mac); }
    Reach guest_to_guest_reflected() {
        reflect();
        return guest_to_guest();
    }
    Reach broadcast_reflected() {
        reflect();
        return guests_broadcast();
    }

    Reach host_to_guest() {
        TapGuest guest = make_guest();
        Station host("uplink", local_experiment);
        return expect(host, frame_between(guest.mac(), mac_of("uplink"), 6), guest);
    }
    Reach guest_to_host() {
        TapGuest guest = make_guest();
        Station host("uplink", local_experiment);
        return expect(guest, frame_between(mac_of("uplink"), guest.mac(), 7), host);
    }
    Reach host_link_to_guest() {
        TapGuest guest = make_guest();
        if (!make_host_link()) {
            return Reach::refused;
        }
        Station host("th0", local_experiment);
        return expect(host, frame_between(guest.mac(), mac_of("th0"), 8), guest);
    }
    Reach guest_to_host_link() {
        TapGuest guest = make_guest();
        if (!make_host_link()) {
            return Reach::refused;
        }
        Station host("th0", local_experiment);
        return expect(guest, frame_between(mac_of("th0"), guest.mac(), 9), host);
    }

private:
    Outcome create(const std::string& name, const std::string& parent) {
        Arguments arguments = {"create", "--name", name, "--parent", parent};
        arguments.insert(arguments.end(), mode_.options.begin(), mode_.options.end());
        return outcome_of("backend/tapline", arguments);
    }

    TapGuest make_guest(const std::string& parent = "uplink") {
        const Outcome created = create("tl0", parent);
        EXPECT_EQ(created.status, 0) << created.errors;
        return TapGuest("tl0");
    }

    static bool make_host_link() {
        return outcome_of("backend/tapline",
                          {"host-link", "add", "uplink", "--address", "192.0.2.2"})
                   .status == 0;
    }

    static void make_switch(const std::string& port) {
        run("ip link add switch0 type bridge && ip link set switch0 up");
        run("ip link set " + port + " master switch0");
    }

    // The peer becomes a switch that sends frames back to where they came from.
    static void reflect() {
        make_switch("peer0");
        run("ip link set peer0 type bridge_slave hairpin on");
    }

    Reach between_guests(std::optional<Mac> to) {
        TapGuest first = make_guest();
        if (create("tl1", "uplink").status != 0) {
            return Reach::refused;
        }
        TapGuest second("tl1");
        return expect(first, frame_between(to.value_or(second.mac()), first.mac(), 10), second);
    }

    static Mac mac_of(const std::string& name) {
        return MacAddress::parse(link(name).at("address").get<std::string>()).bytes();
    }

    template <typename Receiver>
    Reach expect(TapGuest& from, const Bytes& frame, Receiver& receiver) {
        from.send(frame);
        return receive_with(receiver, frame, limit_) ? Reach::yes : Reach::no;
    }
    template <typename Receiver>
    Reach expect(Station& from, const Bytes& frame, Receiver& receiver) {
        from.send(with_header(frame, Station::header_bytes));
        return receive_with(receiver, frame, limit_) ? Reach::yes : Reach::no;
    }

    const Mode& mode_;
    std::chrono::milliseconds limit_;
    Wire wire_;
    Station peer_{"peer0"};
};

struct Path {
    std::array<Reach, modes.size()> reach; // In the order of the modes.
    const char* name;
    Reach (Lab::*attempt)();
};

constexpr auto yes = Reach::yes;
constexpr auto no = Reach::no;
constexpr auto none = Reach::refused;

// clang-format off
constexpr Path paths[] = {
    // bridge, vepa, private, passthru, passthru with --nopromisc, source
    {{yes,  yes,  yes,  yes,  yes,  yes}, "GuestToPeer", &Lab::guest_to_peer},
    {{yes,  yes,  yes,  yes,  yes,  yes}, "PeerToGuest", &Lab::peer_to_guest},
    {{yes,  yes,  yes,  yes,  yes,  yes}, "BroadcastToGuest", &Lab::broadcast_to_guest},
    {{yes,  yes,  yes,  yes,  yes,  no},  "StrangerToGuest", &Lab::stranger_to_guest},
    {{yes,  yes,  yes,  yes,  yes,  no},  "StrangersBroadcast", &Lab::strangers_broadcast},
    {{no,   no,   no,   yes,  no,   yes}, "FrameForAnother", &Lab::frame_for_another},
    {{yes,  no,   no,   none, none, no},  "GuestToGuest", &Lab::guest_to_guest},
    {{yes,  yes,  yes,  none, none, no},  "GuestToGuestReflected", &Lab::guest_to_guest_reflected},
    {{yes,  no,   no,   none, none, no},  "GuestsBroadcast", &Lab::guests_broadcast},
    {{yes,  yes,  no,   none, none, no},  "GuestsBroadcastReflected", &Lab::broadcast_reflected},
    {{no,   no,   no,   no,   no,   no},  "HostToGuest", &Lab::host_to_guest},
    {{no,   no,   no,   no,   no,   no},  "GuestToHost", &Lab::guest_to_host},
    {{yes,  no,   no,   none, none, no},  "HostLinkToGuest", &Lab::host_link_to_guest},
    {{yes,  no,   no,   none, none, no},  "GuestToHostLink", &Lab::guest_to_host_link},
};
// clang-format on

using Cell = std::tuple<Path, size_t>; // And the place of the mode.

void PrintTo(const Cell& cell, std::ostream* out) {
    *out << std::get<Path>(cell).name << " in mode " << modes.at(std::get<size_t>(cell)).name;
}

class Traffic : public testing::TestWithParam<Cell> {};

TEST_P(Traffic, PassesOrNotAsTheTableSays) {
    const auto& [path, mode] = GetParam();
    const Reach expected = path.reach.at(mode);
    Lab lab(modes.at(mode), expected == yes ? fakes::deadline : moment);
    EXPECT_EQ((lab.*path.attempt)(), expected);
}

INSTANTIATE_TEST_SUITE_P(Modes, Traffic,
                         testing::Combine(testing::ValuesIn(paths),
                                          testing::Range(size_t{0}, modes.size())),
                         [](const auto& test) {
                             return std::string(std::get<Path>(test.param).name) + "_" +
                                    modes.at(std::get<size_t>(test.param)).name;
                         });

} // namespace
} // namespace tapline::netns
