// Frames through the pump, between a fake guest and a station at the other end of the wire: each
// arrives once, in order and intact.
#include "tests/netns/frames.h"
#include "tests/netns/pump_lab.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tapline::netns {
namespace {

using fakes::Guest;
using vhost::Feature;
using namespace std::chrono_literals;

constexpr uint64_t plain = PumpLab::plain;
constexpr uint64_t usual = PumpLab::usual;
constexpr uint64_t offloads =
    vhost::bits(Feature::csum, Feature::guest_csum, Feature::host_tso4, Feature::guest_tso4,
                Feature::host_tso6, Feature::guest_tso6);
constexpr uint64_t packed = usual | vhost::bits(Feature::ring_packed);

// Sizes around every boundary on the way: minimal, cache lines, a receive buffer, the MTU.
std::vector<size_t> sizes_up_to(size_t most) {
    std::vector<size_t> sizes;
    for (const size_t size : {60,   61,   64,   65,   127,  128,   512,   1023,  1500,  1514, 1523,
                              1524, 1525, 2048, 4096, 9014, 16384, 32768, 65000, 65535, 65549}) {
        if (size <= most) {
            sizes.push_back(size);
        }
    }
    return sizes;
}

struct GuestKind {
    std::string name;
    uint64_t features;
    size_t header = PumpLab::header_bytes;
    uint32_t receive_buffer_bytes = 1536;
    fakes::DriverRing::Layout layout = fakes::DriverRing::Layout::direct;
    std::vector<size_t> parts = {}; // How the guest cuts what it sends.
    uint16_t ring_size = 256;
    const char* express_lane = "off";
};

class PumpFrames : public testing::TestWithParam<GuestKind> {
protected:
    static size_t largest() {
        const bool mergeable = has(GetParam().features, Feature::mrg_rxbuf);
        return mergeable ? 65549 : GetParam().receive_buffer_bytes - GetParam().header;
    }

    // The wire's MTU lets every size through that this guest is offered unsegmented.
    PumpLab lab_{{.mtu = 65535, .arguments = {"--express-lane", GetParam().express_lane}}};
    Guest guest_ = lab_.connect({.features = GetParam().features,
                                 .ring_size = GetParam().ring_size,
                                 .receive_buffer_bytes = GetParam().receive_buffer_bytes,
                                 .layout = GetParam().layout});
};

TEST_P(PumpFrames, GuestToWireArriveOnceInOrderAndIntact) {
    uint32_t number = 0;
    uint64_t bytes = 0;
    for (int round = 0; round < 40; ++round) {
        const uint32_t first = number;
        for (const size_t size : sizes_up_to(65549)) {
            const Bytes frame = frame_to_wire(number++, size);
            if (!guest_.send(with_header(frame, GetParam().header), GetParam().parts)) {
                guest_.flush(); // The ring was full.
                ASSERT_TRUE(guest_.send(with_header(frame, GetParam().header), GetParam().parts));
            }
            bytes += size;
        }
        uint32_t expected = first;
        for (const size_t size : sizes_up_to(65549)) {
            const auto received = lab_.station().receive(fakes::deadline);
            ASSERT_TRUE(received) << "frame " << expected << " of " << size << " bytes is lost";
            ASSERT_EQ(without_header(*received, Station::header_bytes),
                      frame_to_wire(expected++, size));
        }
    }
    guest_.flush();
    EXPECT_FALSE(lab_.station().receive(0ms)) << "a frame came twice";
    const auto counters = lab_.end().at("guest_to_wire");
    EXPECT_EQ(counters.at("frames"), number);
    EXPECT_EQ(counters.at("bytes"), bytes);
    EXPECT_TRUE(counters.at("dropped").empty()) << counters;
}

TEST_P(PumpFrames, WireToGuestArriveOnceInOrderAndIntact) {
    uint32_t number = 0;
    for (int round = 0; round < 40; ++round) {
        const uint32_t first = number;
        for (const size_t size : sizes_up_to(largest())) {
            lab_.station().send(with_header(frame_to_guest(number++, size), Station::header_bytes));
        }
        uint32_t expected = first;
        for (const size_t size : sizes_up_to(largest())) {
            const auto received = guest_.receive();
            ASSERT_TRUE(received) << "frame " << expected << " of " << size << " bytes is lost";
            ASSERT_EQ(without_header(*received, GetParam().header),
                      frame_to_guest(expected++, size));
        }
    }
    EXPECT_FALSE(guest_.receive(0ms)) << "a frame came twice";
    const auto counters = lab_.end().at("wire_to_guest");
    EXPECT_EQ(counters.at("frames"), number);
    EXPECT_TRUE(counters.at("dropped").empty()) << counters;
}

INSTANTIATE_TEST_SUITE_P(
    Guests, PumpFrames,
    testing::Values(
        GuestKind{.name = "Plain", .features = plain, .receive_buffer_bytes = 66000},
        GuestKind{.name = "Legacy", .features = 0, .header = 10, .receive_buffer_bytes = 66000},
        GuestKind{.name = "SmallBuffersUnmerged",
                  .features = plain | vhost::bits(Feature::event_idx)},
        GuestKind{.name = "Mergeable", .features = usual},
        GuestKind{.name = "MergeableOffloads", .features = usual | offloads},
        GuestKind{
            .name = "MergeablePages", .features = usual | offloads, .receive_buffer_bytes = 4096},
        GuestKind{.name = "NoEventIndex", .features = plain | vhost::bits(Feature::mrg_rxbuf)},
        GuestKind{.name = "HeaderApart", .features = usual, .parts = {PumpLab::header_bytes}},
        GuestKind{.name = "ManyParts", .features = usual, .parts = {5, 7, 14, 1, 3}},
        GuestKind{.name = "Indirect",
                  .features = usual,
                  .layout = fakes::DriverRing::Layout::indirect,
                  .parts = {PumpLab::header_bytes, 20}},
        GuestKind{.name = "Packed", .features = packed},
        GuestKind{.name = "PackedNoEventIndex",
                  .features = plain | vhost::bits(Feature::mrg_rxbuf, Feature::ring_packed)},
        GuestKind{.name = "PackedInOrder", .features = packed | vhost::bits(Feature::in_order)},
        GuestKind{
            .name = "PackedOffloads", .features = packed | offloads, .receive_buffer_bytes = 4096},
        GuestKind{.name = "PackedManyParts", .features = packed, .parts = {5, 7, 14, 1, 3}},
        GuestKind{.name = "PackedUnmerged",
                  .features = plain | vhost::bits(Feature::ring_packed),
                  .receive_buffer_bytes = 66000},
        GuestKind{.name = "PackedIndirect",
                  .features = packed,
                  .layout = fakes::DriverRing::Layout::indirect,
                  .parts = {PumpLab::header_bytes, 20}},
        GuestKind{.name = "PackedOddSize", .features = packed, .ring_size = 201},
        GuestKind{.name = "ExpressLane", .features = usual | offloads, .express_lane = "on"},
        GuestKind{.name = "ExpressLaneLegacy",
                  .features = 0,
                  .header = 10,
                  .receive_buffer_bytes = 66000,
                  .express_lane = "on"},
        GuestKind{.name = "ExpressLaneManyParts",
                  .features = usual,
                  .parts = {5, 7, 14, 1, 3},
                  .express_lane = "on"},
        GuestKind{.name = "ExpressLanePacked", .features = packed, .express_lane = "on"},
        GuestKind{.name = "SmallestRing",
                  .features = plain,
                  .receive_buffer_bytes = 66000,
                  .ring_size = 2}),
    [](const auto& test) { return test.param.name; });

// No kicks, no calls: both sides look for themselves.
TEST(PolledRings, CarryFramesAlsoAfterALongPause) {
    PumpLab lab;
    fakes::Guest guest =
        lab.connect({.features = PumpLab::usual, .events = fakes::FrontEnd::Events::polling});
    for (const auto pause : {0ms, 5ms, 50ms}) { // Enough for a pump that would sleep for ever.
        EXPECT_FALSE(lab.station().receive(pause));
        expect_frames_pass(lab.station(), guest);
    }
    EXPECT_TRUE(lab.end().at("protocol_errors").empty());
}

// More frames than buffers: the pump must see buffers come back without a kick.
TEST(PolledRings, GiveBuffersBackWithoutKicks) {
    constexpr uint32_t frames = 200;
    PumpLab lab;
    fakes::Guest guest = lab.connect({.features = PumpLab::usual,
                                      .receive_buffers = 4,
                                      .events = fakes::FrontEnd::Events::polling});
    for (uint32_t number = 0; number < frames; ++number) {
        lab.station().send(with_header(frame_to_guest(number), Station::header_bytes));
    }
    expect_frames_to_guest(guest, 0, frames);
}

} // namespace
} // namespace tapline::netns
