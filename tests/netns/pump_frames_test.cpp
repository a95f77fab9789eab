// Frames through the pump, between a fake guest and a station at the other end of the wire: each
// arrives once, in order and intact.
#include "tests/fakes/guest.h"
#include "tests/netns/lab.h"
#include "tests/netns/program.h"
#include "vhost/features.h"

#include <gtest/gtest.h>
#include <linux/if_ether.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

namespace tapline {
namespace {

using fakes::Guest;
using netns::Program;
using netns::Station;
using vhost::Feature;
using namespace std::chrono_literals;
using Bytes = std::vector<std::byte>;

constexpr size_t header_bytes = 12;
constexpr uint64_t plain = vhost::bits(Feature::version_1);
constexpr uint64_t usual = plain | vhost::bits(Feature::mrg_rxbuf, Feature::event_idx,
                                               Feature::indirect_desc);
constexpr uint64_t offloads =
    vhost::bits(Feature::csum, Feature::guest_csum, Feature::host_tso4, Feature::guest_tso4,
                Feature::host_tso6, Feature::guest_tso6);

constexpr std::array<uint8_t, 6> guest_mac = {0x52, 0x54, 0, 0, 0, 1};
constexpr std::array<uint8_t, 6> peer_mac = {0x52, 0x54, 0, 0, 0, 2};
constexpr uint16_t local_experiment = 0x88b5; // An ethertype the host has no use for.

// A frame of so many bytes that follow from its number.
Bytes numbered_frame(const std::array<uint8_t, 6>& to, const std::array<uint8_t, 6>& from,
                     uint32_t number, size_t bytes) {
    std::vector<uint8_t> ethernet(to.begin(), to.end());
    ethernet.insert(ethernet.end(), from.begin(), from.end());
    ethernet.insert(ethernet.end(), {local_experiment >> 8, local_experiment & 0xff});
    for (size_t i = ethernet.size(); i < bytes; ++i) {
        ethernet.push_back(static_cast<uint8_t>(number * 31 + number / 256 * 17 + i * 7));
    }
    const auto all = std::as_bytes(std::span(ethernet));
    return {all.begin(), all.end()};
}

Bytes with_header(const Bytes& frame, size_t header) {
    Bytes all(header);
    all.insert(all.end(), frame.begin(), frame.end());
    return all;
}

Bytes without_header(const Bytes& frame, size_t header) {
    return {frame.begin() + static_cast<ptrdiff_t>(header), frame.end()};
}

// Sizes around every boundary on the way: minimal, cache lines, a receive buffer, the MTU.
std::vector<size_t> sizes_up_to(size_t most) {
    std::vector<size_t> sizes;
    for (const size_t size : {60, 61, 64, 65, 127, 128, 512, 1023, 1500, 1514, 1523, 1524, 1525,
                              2048, 4096, 9014, 16384, 32768, 65000, 65535, 65549}) {
        if (size <= most) {
            sizes.push_back(size);
        }
    }
    return sizes;
}

struct GuestKind {
    std::string name;
    uint64_t features;
    size_t header = header_bytes;
    uint32_t receive_buffer_bytes = 1536;
    fakes::DriverRing::Layout layout = fakes::DriverRing::Layout::direct;
    std::vector<size_t> parts = {}; // How the guest cuts what it sends.
};

class PumpFrames : public testing::TestWithParam<GuestKind> {
protected:
    // The wire's MTU lets every size through that this guest is offered unsegmented.
    static constexpr const char* mtu = "65535";

    PumpFrames() {
        netns::run("ip link set uplink mtu " + std::string(mtu) + " && ip link set peer0 mtu " + mtu);
        pump_.emplace("iouring/tapline-pump",
                      std::vector<std::string>{"--socket-path", socket_, "--parent", "uplink",
                                               "--mac", "52:54:00:00:00:01", "--mode", "bridge",
                                               "--json-status"});
        pump_->wait_for("listening");
        const GuestKind& kind = GetParam();
        guest_.emplace(fakes::FrontEnd::connect(socket_),
                       Guest::Options{.features = kind.features,
                                      .receive_buffer_bytes = kind.receive_buffer_bytes,
                                      .layout = kind.layout});
        pump_->wait_for("running");
    }

    nlohmann::json end() {
        pump_->signal(SIGTERM);
        auto counters = pump_->wait_for("stopped").at("counters");
        EXPECT_EQ(pump_->wait(), 0) << pump_->errors();
        return counters;
    }

    size_t largest() const {
        const bool mergeable = has(GetParam().features, Feature::mrg_rxbuf);
        return mergeable ? 65549 : GetParam().receive_buffer_bytes - GetParam().header;
    }

    netns::Wire wire_;
    std::string socket_ = "/tmp/tapline-test-" + std::to_string(getpid()) + ".sock";
    Station station_{"peer0"};
    std::optional<Program> pump_;
    std::optional<Guest> guest_;
};

TEST_P(PumpFrames, GuestToWireArriveOnceInOrderAndIntact) {
    uint32_t number = 0;
    uint64_t bytes = 0;
    for (int round = 0; round < 40; ++round) {
        const uint32_t first = number;
        for (const size_t size : sizes_up_to(65549)) {
            const Bytes frame = numbered_frame(peer_mac, guest_mac, number++, size);
            ASSERT_TRUE(guest_->send(with_header(frame, GetParam().header), GetParam().parts));
            bytes += size;
        }
        uint32_t expected = first;
        for (const size_t size : sizes_up_to(65549)) {
            const auto received = station_.receive(fakes::deadline);
            ASSERT_TRUE(received) << "frame " << expected << " of " << size << " bytes is lost";
            ASSERT_EQ(without_header(*received, Station::header_bytes),
                      numbered_frame(peer_mac, guest_mac, expected++, size));
        }
    }
    guest_->flush();
    EXPECT_FALSE(station_.receive(0ms)) << "a frame came twice";
    const auto counters = end().at("guest_to_wire");
    EXPECT_EQ(counters.at("frames"), number);
    EXPECT_EQ(counters.at("bytes"), bytes);
    EXPECT_TRUE(counters.at("dropped").empty()) << counters;
}

TEST_P(PumpFrames, WireToGuestArriveOnceInOrderAndIntact) {
    uint32_t number = 0;
    for (int round = 0; round < 40; ++round) {
        const uint32_t first = number;
        for (const size_t size : sizes_up_to(largest())) {
            station_.send(with_header(numbered_frame(guest_mac, peer_mac, number++, size),
                                      Station::header_bytes));
        }
        uint32_t expected = first;
        for (const size_t size : sizes_up_to(largest())) {
            const auto received = guest_->receive();
            ASSERT_TRUE(received) << "frame " << expected << " of " << size << " bytes is lost";
            ASSERT_EQ(without_header(*received, GetParam().header),
                      numbered_frame(guest_mac, peer_mac, expected++, size));
        }
    }
    EXPECT_FALSE(guest_->receive(0ms)) << "a frame came twice";
    const auto counters = end().at("wire_to_guest");
    EXPECT_EQ(counters.at("frames"), number);
    EXPECT_TRUE(counters.at("dropped").empty()) << counters;
}

INSTANTIATE_TEST_SUITE_P(
    Guests, PumpFrames,
    testing::Values(
        GuestKind{.name = "Plain", .features = plain, .receive_buffer_bytes = 66000},
        GuestKind{.name = "Legacy", .features = 0, .header = 10, .receive_buffer_bytes = 66000},
        GuestKind{.name = "SmallBuffersUnmerged", .features = plain | vhost::bits(Feature::event_idx)},
        GuestKind{.name = "Mergeable", .features = usual},
        GuestKind{.name = "MergeableOffloads", .features = usual | offloads},
        GuestKind{.name = "MergeablePages", .features = usual | offloads, .receive_buffer_bytes = 4096},
        GuestKind{.name = "NoEventIndex",
              .features = plain | vhost::bits(Feature::mrg_rxbuf)},
        GuestKind{.name = "HeaderApart", .features = usual, .parts = {header_bytes}},
        GuestKind{.name = "ManyParts", .features = usual, .parts = {5, 7, 14, 1, 3}},
        GuestKind{.name = "Indirect",
              .features = usual,
              .layout = fakes::DriverRing::Layout::indirect,
              .parts = {header_bytes, 20}}),
    [](const auto& test) { return test.param.name; });

} // namespace
} // namespace tapline
