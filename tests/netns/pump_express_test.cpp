// The express lane for small frames: nobody can tell from what arrives which way a frame took.
#include "tests/netns/packets.h"
#include "tests/netns/pump_lab.h"
#include "tests/netns/tap_guest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <vector>

namespace tapline::netns {
namespace {

using fakes::Guest;
using testing::HasSubstr;
using vhost::Feature;
using namespace std::chrono_literals;

constexpr size_t header_bytes = PumpLab::header_bytes;
constexpr uint64_t offloads = PumpLab::usual | vhost::bits(Feature::csum, Feature::host_tso4);
constexpr uint16_t gso_size = 1440;

PumpLab::Options with_lane(const std::string& use, unsigned mtu = 1500) {
    return {.mtu = mtu, .arguments = {"--express-lane", use}};
}

void send(Guest& guest, const Bytes& bytes) {
    if (!guest.send(bytes)) {
        guest.flush(); // The ring was full.
        ASSERT_TRUE(guest.send(bytes));
    }
}

void send_to_wire(Guest& guest, uint32_t first, uint32_t count, size_t bytes = frame_bytes_min) {
    for (uint32_t number = first; number < first + count; ++number) {
        send(guest, with_header(frame_to_wire(number, bytes), header_bytes));
    }
}

// TCP from the guest to the peer.
Packet segment(uint16_t flow, uint32_t sequence, size_t payload_bytes) {
    Packet packet{.to = peer_mac,
                  .from = guest_mac,
                  .source_port = flow,
                  .sequence = sequence,
                  .payload = {}};
    for (size_t i = 0; i < payload_bytes; ++i) {
        packet.payload.push_back(static_cast<std::byte>(sequence + i));
    }
    return packet;
}

class ExpressLane : public testing::Test {
protected:
    PumpLab lab_{with_lane("on")};
    Station& station_ = lab_.station();
};

TEST_F(ExpressLane, TakesFramesOfUpToTheUsualMtu) {
    Guest guest = lab_.connect();
    constexpr uint32_t count = 2000;
    uint64_t bytes = 0;
    for (uint32_t number = 0; number < count; ++number) {
        const size_t size = frame_bytes_min + number * 7 % (1514 - frame_bytes_min + 1);
        send(guest, with_header(frame_to_wire(number, size), header_bytes));
        bytes += size;
    }
    expect_frames_to_wire(station_, 0, count);
    const auto counters = lab_.end().at("guest_to_wire");
    EXPECT_EQ(counters.at("frames"), count);
    EXPECT_EQ(counters.at("bytes"), bytes);
    EXPECT_EQ(counters.at("express_frames"), count);
    EXPECT_TRUE(counters.at("dropped").empty()) << counters;
}

TEST_F(ExpressLane, TakesFramesFromTheShortestOn) {
    Guest guest = lab_.connect();
    for (size_t bytes = 18; bytes < frame_bytes_min; ++bytes) { // Those that hold a number.
        send_to_wire(guest, 0, 1, bytes);
        expect_frames_to_wire(station_, 0, 1);
    }
    send(guest, Bytes(header_bytes + 14));
    EXPECT_EQ(station_.receive(fakes::deadline)->size(), Station::header_bytes + 14);
    const auto counters = lab_.end().at("guest_to_wire");
    EXPECT_EQ(counters.at("express_frames"), counters.at("frames"));
}

TEST(ExpressLanes, AreThereForEachQueuePair) {
    PumpLab lab({.arguments = {"--express-lane", "on", "--queues", "2"}});
    Guest guest =
        lab.connect({.features = PumpLab::usual | vhost::bits(Feature::mq), .queue_pairs = 2});
    for (uint32_t number = 0; number < 200; ++number) {
        const auto pair = static_cast<uint16_t>(number % 2);
        ASSERT_TRUE(guest.send(with_header(frame_to_wire(number), header_bytes), {}, pair));
        expect_frames_to_wire(lab.station(), number, 1);
    }
    EXPECT_EQ(lab.end().at("guest_to_wire").at("express_frames"), 200);
}

// A slot is not used again before what it holds is read, and meanwhile the tap takes the frames.
TEST_F(ExpressLane, NeighbourReadsLaterWhatWasSent) {
    run("ip link add link uplink name tg0 address 52:54:00:00:00:03 txqueuelen 1000 "
        "type macvtap mode bridge && ip link set tg0 up");
    TapGuest neighbour("tg0");
    Guest guest = lab_.connect();
    constexpr uint32_t count = 900;
    const auto size = [](uint32_t number) { return frame_bytes_min + number % 1400; };
    for (uint32_t number = 0; number < count; ++number) {
        send(guest, with_header(frame_between(neighbour.mac(), guest_mac, number, size(number)),
                                header_bytes));
    }
    guest.flush();
    for (uint32_t number = 0; number < count; ++number) {
        const auto received = neighbour.receive();
        ASSERT_TRUE(received) << "frame " << number << " is lost";
        ASSERT_TRUE(*received == frame_between(neighbour.mac(), guest_mac, number, size(number)))
            << "frame " << number;
    }
    send(guest, with_header(frame_between(neighbour.mac(), guest_mac, count), header_bytes));
    EXPECT_TRUE(neighbour.receive());
    const auto counters = lab_.end().at("guest_to_wire");
    EXPECT_EQ(counters.at("frames"), count + 1);
    EXPECT_GT(counters.at("express_frames"), 1);
    EXPECT_LT(counters.at("express_frames"), count);
}

// The parent's queue drops them, after the neighbour in mode bridge got his.
TEST_F(ExpressLane, NeighbourGetsABroadcastOnceThatTheParentDrops) {
    run("tc qdisc replace dev tl0 root noqueue");
    run("tc qdisc replace dev uplink root tbf rate 8kbit burst 2kb limit 2kb");
    run("ip link add link uplink name tg0 address 52:54:00:00:00:03 txqueuelen 1000 "
        "type macvtap mode bridge && ip link set tg0 up");
    TapGuest neighbour("tg0");
    Guest guest = lab_.connect();
    constexpr Mac everybody = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    constexpr uint32_t count = 500;
    for (uint32_t number = 0; number < count; ++number) {
        send(guest, with_header(frame_between(everybody, guest_mac, number), header_bytes));
    }
    guest.flush();
    for (uint32_t number = 0; number < count; ++number) {
        const auto received = neighbour.receive();
        ASSERT_TRUE(received) << "frame " << number << " is lost";
        ASSERT_EQ(number_of(*received), number);
    }
    EXPECT_FALSE(neighbour.receive(100ms)) << "a frame came twice";
    const auto counters = lab_.end().at("guest_to_wire");
    EXPECT_EQ(counters.at("frames"), count);
    EXPECT_TRUE(counters.at("dropped").empty()) << counters;
}

TEST_F(ExpressLane, DoesNotKeepAPumpWhoseDeviceIsDeleted) {
    Guest guest = lab_.connect();
    send_to_wire(guest, 0, 10);
    expect_frames_to_wire(station_, 0, 10);
    run("ip link delete tl0");
    EXPECT_EQ(lab_.pump().wait(), 1);
    EXPECT_THAT(lab_.pump().errors(), HasSubstr("the device was deleted"));
}

struct Way {
    std::string name;
    const char* set_up;
    unsigned mtu = 1500;
    friend void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }
};

class MixedFrames : public testing::TestWithParam<Way> {
protected:
    // A pump that moves to another CPU would else have its frames received on two, in any order.
    MixedFrames() {
        run(GetParam().set_up);
        run("for each in /sys/class/net/peer0/queues/rx-*; do echo 1 > $each/rps_cpus; done");
    }

    // Small ones, with and without a checksum, those too large for the lane and segments of TCP,
    // without any pattern.
    static Bytes mixed(uint32_t number, Packet& packet) {
        constexpr std::array<size_t, 7> payloads = {6, 6, 6, 200, 1400, 2600, 9000};
        const uint32_t kind = number * 2654435761u >> 16;
        size_t payload = payloads[kind % payloads.size()];
        const bool segments = payload + 54 > GetParam().mtu + 14;
        packet = segment(packet.source_port, packet.sequence, payload);
        packet.checksum = segments || kind % 2 == 0 ? Checksum::partial : Checksum::complete;
        return packet.checksum == Checksum::partial
                   ? offload(packet, segments ? gso_size : 0).bytes(header_bytes)
                   : with_header(packet.frame(), header_bytes);
    }

    PumpLab lab_{with_lane("on", GetParam().mtu)};
};

TEST_P(MixedFrames, OfEachFlowArriveOnceInOrder) {
    constexpr uint16_t flows = 16;
    constexpr uint32_t frames = 20000;
    std::array<uint32_t, flows> sent{};
    std::array<uint32_t, flows> received{};
    Guest guest = lab_.connect({.features = offloads});
    uint64_t waiting = 0; // Bytes of payload.
    const auto receive = [&] {
        const auto bytes = lab_.station().receive(fakes::deadline);
        ASSERT_TRUE(bytes) << "frames are lost";
        const Packet packet = Offloaded::from(*bytes, Station::header_bytes).packet();
        ASSERT_LT(packet.source_port, flows);
        ASSERT_EQ(packet.sequence, received[packet.source_port]);
        const Packet expected = segment(packet.source_port, packet.sequence, packet.payload.size());
        ASSERT_TRUE(packet.payload == expected.payload);
        received[packet.source_port] += static_cast<uint32_t>(packet.payload.size());
        waiting -= packet.payload.size();
    };
    for (uint32_t number = 0; number < frames; ++number) {
        const auto flow = static_cast<uint16_t>(number / 3 % flows);
        Packet packet{.source_port = flow, .sequence = sent[flow], .payload = {}};
        send(guest, mixed(number, packet));
        sent[flow] += static_cast<uint32_t>(packet.payload.size());
        waiting += packet.payload.size();
        while (waiting > (128u << 10)) { // Less than fills the lane for good.
            ASSERT_NO_FATAL_FAILURE(receive());
        }
    }
    while (waiting > 0) {
        ASSERT_NO_FATAL_FAILURE(receive());
    }
    EXPECT_EQ(received, sent);
    guest.flush();
    EXPECT_FALSE(lab_.station().receive(0ms)) << "a frame came twice";
    const auto counters = lab_.end().at("guest_to_wire");
    EXPECT_EQ(counters.at("frames"), frames);
    EXPECT_TRUE(counters.at("dropped").empty()) << counters;
    EXPECT_GT(counters.at("express_frames"), frames / 100);
    EXPECT_LT(counters.at("express_frames"), frames);
}

// Two transmit queues of the parent, one ten times as fast: a flow whose frames went to both would
// be out of order at once.
constexpr const char* unequal_queues =
    "ethtool -L uplink tx 2 && tc qdisc replace dev uplink root handle 1: mq && "
    "tc qdisc replace dev uplink parent 1:1 tbf rate 200mbit burst 64kb limit 64mb && "
    "tc qdisc replace dev uplink parent 1:2 tbf rate 2gbit burst 64kb limit 64mb";

INSTANTIATE_TEST_SUITE_P(
    Parents, MixedFrames,
    testing::Values(Way{"AsItIs", "true"}, Way{"Jumbo", "true", 9000},
                    Way{"DeviceWithoutQueue", "tc qdisc replace dev tl0 root noqueue"},
                    Way{"DeviceThatQueues",
                        "tc qdisc replace dev tl0 root tbf rate 1gbit burst 64kb limit 64mb"},
                    Way{"SlowParent",
                        "tc qdisc replace dev uplink root tbf rate 1gbit burst 64kb limit 64mb"},
                    Way{"ParentWithUnequalQueues", unequal_queues}),
    [](const auto& test) { return test.param.name; });

class EitherWay : public testing::TestWithParam<std::string> {
protected:
    // An interface that is up again lets frames pass a moment later.
    void await_frame() {
        const auto until = std::chrono::steady_clock::now() + fakes::deadline;
        do {
            ASSERT_LT(std::chrono::steady_clock::now(), until);
            send_to_wire(guest_, 0, 1);
            guest_.flush();
        } while (!station_.receive(20ms));
        while (station_.receive(100ms)) {} // Those that came late.
    }

    PumpLab lab_{with_lane(GetParam())};
    Station& station_ = lab_.station();
    Guest guest_ = lab_.connect({.features = offloads});
};

TEST_P(EitherWay, DownFramesAreLostAsOnAnyInterfaceAndUpTheyPass) {
    for (const std::string interface : {"tl0", "uplink"}) {
        send_to_wire(guest_, 0, 100);
        expect_frames_to_wire(station_, 0, 100);
        run("ip link set " + interface + " down");
        send_to_wire(guest_, 1000, 300);
        guest_.flush();
        EXPECT_FALSE(station_.receive(0ms));
        run("ip link set " + interface + " up");
        await_frame();
    }
    send_to_wire(guest_, 1, 300);
    expect_frames_to_wire(station_, 1, 300);
    const auto counters = lab_.end().at("guest_to_wire");
    EXPECT_TRUE(counters.at("dropped").empty()) << counters;
}

// A station sees of a frame what the kernel knows of it, not only its bytes.
TEST_P(EitherWay, ChecksumsAreDoneByWhoeverIsLeftToDoThem) {
    Packet packet = segment(1000, 7, 700);
    packet.checksum = Checksum::partial;
    const auto receive = [&] {
        send(guest_, offload(packet, 0).bytes(header_bytes));
        const auto received = station_.receive(fakes::deadline);
        const auto seen = Offloaded::from(received.value(), Station::header_bytes);
        EXPECT_EQ(seen.packet().payload, packet.payload);
        return seen;
    };
    EXPECT_TRUE(receive().header.wants_checksum());
    run("ethtool -K uplink tx off >/dev/null");
    EXPECT_FALSE(receive().header.wants_checksum());
}

TEST_P(EitherWay, FramesLongerThanTheMtuMeetTheSameFate) {
    constexpr size_t mtu_frame = 1514;
    for (const size_t bytes : {mtu_frame + 1, mtu_frame + 4, mtu_frame + 5, mtu_frame + 400}) {
        send_to_wire(guest_, 1, 1, bytes);
        send_to_wire(guest_, 2, 1, mtu_frame);
        if (bytes <= mtu_frame + 4) { // A veth has room for a VLAN tag.
            expect_frames_to_wire(station_, 1, 1);
        }
        expect_frames_to_wire(station_, 2, 1);
    }
    const auto counters = lab_.end().at("guest_to_wire");
    EXPECT_EQ(counters.at("frames"), 8);
    EXPECT_TRUE(counters.at("dropped").empty()) << counters;
}

TEST_P(EitherWay, FramesWithVlanTagsArriveIntact) {
    for (const unsigned tags : {1u, 2u}) {
        Bytes frame = frame_to_wire(5, 200);
        for (unsigned i = 0; i < tags; ++i) {
            const std::array<std::byte, 4> tag = {std::byte{0x81}, std::byte{0}, std::byte{0},
                                                  std::byte{7}};
            frame.insert(frame.begin() + 12, tag.begin(), tag.end());
        }
        send(guest_, with_header(frame, header_bytes));
        const auto received = station_.receive(fakes::deadline);
        ASSERT_TRUE(received);
        // The station's kernel takes the outer tag off the bytes.
        Bytes inner = frame;
        inner.erase(inner.begin() + 12, inner.begin() + 16);
        EXPECT_EQ(without_header(*received, Station::header_bytes), inner);
    }
}

TEST_P(EitherWay, HeadersThatLieAreRefusedAndFramesAroundThemPass) {
    static constexpr std::array<void (*)(VirtioHeader&), 6> lies = {
        [](VirtioHeader& header) { header.header_bytes = 400; },
        [](VirtioHeader& header) { header.gso_type = 77; },
        [](VirtioHeader& header) { header.gso_type = VirtioHeader::tcp4; }, // Of size 0.
        [](VirtioHeader& header) { header.checksum_start = 201; },
        [](VirtioHeader& header) { header.checksum_offset = 65000; },
        [](VirtioHeader& header) { header.checksum_start = 3; }};
    Packet packet = segment(1000, 1, 146);
    packet.checksum = Checksum::partial;
    uint32_t number = 0;
    for (int round = 0; round < 50; ++round) {
        for (const auto& tell : lies) {
            Offloaded lying = offload(packet, 0);
            tell(lying.header);
            send_to_wire(guest_, number, 2);
            send(guest_, lying.bytes(header_bytes));
            send_to_wire(guest_, number + 2, 1);
            number += 3;
        }
        constexpr uint32_t good = 3 * lies.size();
        expect_frames_to_wire(station_, number - good, good);
    }
    const auto counters = lab_.end().at("guest_to_wire");
    EXPECT_EQ(counters.at("frames"), number);
    EXPECT_EQ(counters.at("bytes"), number * frame_bytes_min);
    EXPECT_EQ(counters.at("dropped"), nlohmann::json({{"refused_by_tap", number / 3}}));
}

INSTANTIATE_TEST_SUITE_P(Lane, EitherWay, testing::Values("off", "on"),
                         [](const auto& test) { return test.param; });

// Where there may be none.
class NoExpressLane : public testing::Test {
protected:
    // The pump as root, but for the right to a packet socket.
    static std::vector<std::string> without_right(const std::string& use) {
        return {"--bounding-set=-net_raw", program_path("iouring/tapline-pump"),
                "--socket-path",           test_socket(),
                "--parent=uplink",         "--json-status",
                "--express-lane=" + use};
    }

    Wire wire_;
};

TEST_F(NoExpressLane, IsAnErrorWithItsReasonIfItIsRequired) {
    const auto before = links();
    const Outcome failed = outcome_of("/usr/bin/setpriv", without_right("on"));
    EXPECT_EQ(failed.status, 1);
    EXPECT_THAT(failed.errors, HasSubstr("express lane"));
    EXPECT_THAT(failed.errors, HasSubstr("CAP_NET_RAW"));
    EXPECT_EQ(links(), before);
}

TEST_F(NoExpressLane, IsAnErrorOnADeviceThatIsDownIfItIsRequired) {
    run("ip link add link uplink name web0 type macvtap");
    const Outcome failed =
        outcome_of("iouring/tapline-pump",
                   {"--socket-path", test_socket(), "--device", "web0", "--express-lane", "on"});
    EXPECT_EQ(failed.status, 1);
    EXPECT_THAT(failed.errors, HasSubstr("'web0': Network is down (bring it up)"));
}

TEST_F(NoExpressLane, IsAnErrorOnTapDescriptorsIfItIsRequired) {
    run("ip link add link uplink name web0 type macvtap && ip link set web0 up");
    Netlink netlink = Netlink::open();
    const auto queues = open_queues(find_macvtap(netlink, "web0"), 1);
    const int fd = queues.front().fd();
    const Outcome failed = outcome_of(
        "iouring/tapline-pump",
        {"--socket-path", test_socket(), "--tap-fds", std::to_string(fd), "--express-lane", "on"},
        {fd});
    EXPECT_EQ(failed.status, 1);
    EXPECT_THAT(failed.errors, HasSubstr("--parent or --device"));
}

TEST_F(NoExpressLane, IsToldAndTheTapTakesAllWhereItIsNotRequired) {
    Program pump("/usr/bin/setpriv", without_right("auto"));
    const auto listening = pump.wait_for("listening");
    EXPECT_EQ(listening.at("express_lane"), false);
    EXPECT_THAT(listening.at("express_lane_refusal"), HasSubstr("CAP_NET_RAW"));
    Station station("peer0");
    Guest guest(fakes::FrontEnd::connect(test_socket()), {.features = PumpLab::usual});
    send_to_wire(guest, 0, 10);
    expect_frames_to_wire(station, 0, 10);
    pump.signal(SIGTERM);
    const auto counters = pump.wait_for("stopped").at("counters").at("guest_to_wire");
    EXPECT_EQ(counters.at("frames"), 10);
    EXPECT_FALSE(counters.contains("express_frames"));
}

} // namespace
} // namespace tapline::netns
