// A guest that pretends to be another: what it sends as such reaches nobody and is counted, and
// everything else it sends passes.
#include "tests/netns/frames.h"
#include "tests/netns/packets.h"
#include "tests/netns/pump_lab.h"

#include <gtest/gtest.h>
#include <linux/if_ether.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace tapline::netns {
namespace {

using fakes::Buffer;
using fakes::Guest;
using vhost::Feature;
using namespace std::chrono_literals;

constexpr size_t header_bytes = PumpLab::header_bytes;

// From the guest's card and 192.0.2.1 or 2001:db8::1.
Packet datagram(Ip ip, uint16_t source_port = 1000) {
    return {.to = peer_mac,
            .from = guest_mac,
            .ip = ip,
            .transport = Transport::udp,
            .source_port = source_port,
            .payload = Bytes(100, std::byte{7})};
}

void send(Guest& guest, const Bytes& frame) {
    ASSERT_TRUE(guest.send(with_header(frame, header_bytes)));
}

void expect_passes(PumpLab& lab, Guest& guest, const Packet& packet) {
    send(guest, packet.frame());
    const auto received = lab.station().receive(fakes::deadline);
    ASSERT_TRUE(received);
    EXPECT_EQ(without_header(*received, Station::header_bytes), packet.frame());
}

TEST(PortSecurity, LetsTheCardsOwnAddressPassAlone) {
    PumpLab lab({.arguments = {"--allow-source-mac", "own"}});
    Guest guest = lab.connect();
    send(guest, frame_between(peer_mac, peer_mac, 1));
    expect_frames_pass(lab.station(), guest);
    expect_passes(lab, guest, datagram(Ip::v4));
    EXPECT_EQ(lab.end().at("guest_to_wire").at("dropped"), nlohmann::json({{"spoofed_mac", 1}}));
}

TEST(PortSecurity, LetsTheAllowedIpAddressesPassAlone) {
    PumpLab lab({.arguments = {"--allow-source-ip", "192.0.2.1"}});
    Guest guest = lab.connect();
    send(guest, datagram(Ip::v6).frame());
    expect_frames_pass(lab.station(), guest);
    expect_passes(lab, guest, datagram(Ip::v4));
    EXPECT_EQ(lab.end().at("guest_to_wire").at("dropped"), nlohmann::json({{"spoofed_ip", 1}}));
}

TEST(PortSecurity, LetsNoDhcpServerAnswerUnlessAllowed) {
    constexpr uint16_t server = 67;
    {
        PumpLab lab({.arguments = {"--port-security"}});
        Guest guest = lab.connect();
        send(guest, datagram(Ip::v4, server).frame());
        expect_frames_pass(lab.station(), guest);
        EXPECT_EQ(lab.end().at("guest_to_wire").at("dropped"),
                  nlohmann::json({{"dhcp_answer", 1}}));
    }
    PumpLab lab({.arguments = {"--port-security", "--allow-dhcp-server"}});
    Guest guest = lab.connect();
    expect_passes(lab, guest, datagram(Ip::v4, server));
}

TEST(PortSecurity, LetsLargeFramesOfManyPartsPassUnchanged) {
    PumpLab lab({.mtu = 65535, .arguments = {"--allow-source-mac", "own"}});
    Guest guest =
        lab.connect({.features = PumpLab::usual, .layout = fakes::DriverRing::Layout::indirect});
    uint32_t number = 0;
    for (const size_t bytes : {60, 255, 256, 257, 1514, 9014, 65000}) {
        const Bytes frame = with_header(frame_to_wire(++number, bytes), header_bytes);
        ASSERT_TRUE(guest.send(frame, std::vector<size_t>{header_bytes, 1, 40}));
        ASSERT_NO_FATAL_FAILURE(expect_frames_to_wire(lab.station(), number, 1));
        ASSERT_TRUE(guest.send(frame));
        ASSERT_NO_FATAL_FAILURE(expect_frames_to_wire(lab.station(), number, 1));
    }
    EXPECT_TRUE(lab.end().at("guest_to_wire").at("dropped").empty());
}

// The wanted checksum lands on the second half of the source address: it must not make it another.
TEST(PortSecurity, LetsNoChecksumChangeTheSender) {
    PumpLab lab({.arguments = {"--allow-source-mac", "own"}});
    Guest guest = lab.connect({.features = PumpLab::usual | bit(Feature::csum)});
    Offloaded lying{.header = {}, .frame = datagram(Ip::v4).frame()};
    lying.header.flags = VirtioHeader::needs_checksum;
    lying.header.checksum_start = ETH_HLEN;
    lying.header.checksum_offset = 14; // IPv4's source.
    ASSERT_TRUE(guest.send(lying.bytes(header_bytes)));
    expect_frames_pass(lab.station(), guest);
    EXPECT_EQ(lab.end().at("guest_to_wire").at("dropped"), nlohmann::json({{"unreadable", 1}}));
}

// A front end asks for it, and is trusted no more than its guest.
TEST(PortSecurity, LetsNobodyElseBeAnnounced) {
    PumpLab lab(
        {.arguments = {"--allow-source-mac", "own", "--limit-guest-to-wire", "1fps,burst=1f"}});
    Guest guest = lab.connect();
    Station switches("peer0", ETH_P_RARP);
    const auto announce = [&](const Mac& mac) {
        std::array<uint8_t, 8> station{};
        std::ranges::copy(mac, station.begin());
        EXPECT_EQ(guest.front_end().acknowledged(vhost::Request::send_rarp, station), 0);
    };
    announce(peer_mac);
    announce(guest_mac);
    announce(guest_mac); // Over the rate.
    const auto heard = switches.receive(fakes::deadline);
    ASSERT_TRUE(heard);
    const Bytes frame = without_header(*heard, Station::header_bytes);
    EXPECT_EQ(frame[2 * ETH_ALEN - 1], static_cast<std::byte>(guest_mac.back()));
    EXPECT_FALSE(switches.receive(200ms));
}

// While frames are under way the guest rewrites their sender without pause.
TEST(PortSecurity, HoldsAgainstAGuestThatRewritesFramesAllTheTime) {
    PumpLab lab({.arguments = {"--allow-source-mac", "own"}});
    Guest guest = lab.connect();
    const Bytes frame = with_header(frame_to_wire(1), header_bytes);
    const uint64_t area = guest.ram().allocate(frame.size());
    std::ranges::copy(frame, guest.ram().at(area, frame.size()).begin());
    const std::atomic_ref sender(*guest.ram().at(area + header_bytes + 2 * ETH_ALEN - 1));
    std::atomic<bool> done = false;
    std::thread rewriter([&] {
        while (!done) {
            sender = std::byte{0x77};
            sender = static_cast<std::byte>(guest_mac.back());
        }
    });
    const Buffer buffer{
        .address = area, .length = static_cast<uint32_t>(frame.size()), .writable = false};
    Guest::Lane& lane = guest.transmitter();
    unsigned spoofed = 0;
    unsigned honest = 0;
    const auto take = [&](std::chrono::milliseconds limit) {
        while (const auto received = lab.station().receive(limit)) {
            const Bytes seen = without_header(*received, Station::header_bytes);
            ++(seen[2 * ETH_ALEN - 1] == static_cast<std::byte>(guest_mac.back()) ? honest
                                                                                  : spoofed);
        }
    };
    constexpr unsigned enough = 5000; // Of those that pass and of those that do not.
    const auto until = std::chrono::steady_clock::now() + fakes::deadline;
    for (unsigned sent = 0; (honest < enough || sent < honest + spoofed + enough) &&
                            std::chrono::steady_clock::now() < until;) {
        while (lane.ring->next_used()) {}
        while (lane.ring->add(std::span(&buffer, 1))) {
            ++sent;
        }
        guest.kick(lane);
        take(0ms);
    }
    take(200ms);
    done = true;
    rewriter.join();
    EXPECT_EQ(spoofed, 0);
    EXPECT_GE(honest, enough);
    EXPECT_GT(lab.end().at("guest_to_wire").at("dropped").at("spoofed_mac"), 0);
}

} // namespace
} // namespace tapline::netns
