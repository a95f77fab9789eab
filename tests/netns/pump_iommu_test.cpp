// A guest behind an IOMMU: the pump asks for what it needs, and lets go of what is taken back.
#include "tests/netns/frames.h"
#include "tests/netns/pump_lab.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iterator>

namespace tapline::netns {
namespace {

using fakes::Guest;
using fakes::Iommu;
using vhost::Feature;
using vhost::Request;
using namespace std::chrono_literals;

constexpr uint64_t translated = PumpLab::usual | bit(Feature::access_platform);

struct Kind {
    const char* name;
    Guest::Options options;
};

class PumpIommu : public testing::TestWithParam<Kind> {};

INSTANTIATE_TEST_SUITE_P(
    Rings, PumpIommu,
    testing::Values(
        Kind{"Split", {.features = translated}},
        Kind{"SplitOverManyPages", {.features = translated, .ring_size = 1024}},
        Kind{"Indirect", {.features = translated, .layout = fakes::DriverRing::Layout::indirect}},
        Kind{"Packed", {.features = translated | bit(Feature::ring_packed)}},
        Kind{"Polled", {.features = translated, .events = fakes::FrontEnd::Events::polling}}),
    [](const auto& each) { return std::string(each.param.name); });

TEST_P(PumpIommu, CarriesFramesBothWays) {
    PumpLab lab;
    Guest guest = lab.connect(GetParam().options);
    for (int i = 0; i < 20; ++i) {
        ASSERT_NO_FATAL_FAILURE(expect_frames_pass(lab.station(), guest));
    }
    EXPECT_GT(guest.iommu().misses(), 0u);
    EXPECT_EQ(lab.end()["protocol_errors"], nlohmann::json::object());
}

TEST_P(PumpIommu, LosesNoFrameWhenTranslationsAreTakenBack) {
    PumpLab lab;
    Guest guest = lab.connect(GetParam().options);
    for (int i = 0; i < 50; ++i) {
        ASSERT_NO_FATAL_FAILURE(expect_frames_pass(lab.station(), guest));
        ASSERT_EQ(guest.front_end().acknowledged(Request::iotlb_msg, Iommu::invalidation_of_all()),
                  0u);
    }
    ASSERT_NO_FATAL_FAILURE(expect_frames_pass(lab.station(), guest));
}

// Once the front end has its acknowledgement the memory may be anyone's.
TEST_P(PumpIommu, LeavesAloneWhatWasTakenBack) {
    PumpLab lab;
    Guest guest = lab.connect(GetParam().options);
    ASSERT_NO_FATAL_FAILURE(expect_frames_pass(lab.station(), guest));
    guest.iommu().answer(false);
    ASSERT_EQ(guest.front_end().acknowledged(Request::iotlb_msg, Iommu::invalidation_of_all()), 0u);
    lab.station().send(with_header(frame_to_guest(1), Station::header_bytes));
    EXPECT_FALSE(guest.receive(200ms)) << "it came to memory that was taken back";
    EXPECT_EQ(guest.front_end().ask(Request::get_queue_num), 2u) << "it waits for an answer";
    guest.iommu().answer(true); // The pump asks again by itself.
    EXPECT_TRUE(guest.receive());
    ASSERT_NO_FATAL_FAILURE(expect_frames_pass(lab.station(), guest));
}

TEST(PumpIommuFaults, GuestWhoseFrontEndCannotBeAskedKeepsNobodyWaiting) {
    PumpLab lab;
    {
        Guest guest = lab.connect({.features = translated});
        guest.iommu().hang_up();
        ASSERT_EQ(guest.front_end().acknowledged(Request::iotlb_msg, Iommu::invalidation_of_all()),
                  0u);
        lab.station().send(with_header(frame_to_guest(1), Station::header_bytes));
        EXPECT_FALSE(guest.receive(100ms));
        EXPECT_EQ(lab.pump()
                      .wait_for("translation_is_late")
                      .at("address")
                      .get<std::string>()
                      .substr(0, 2),
                  "0x");
    }
    EXPECT_GT(lab.session_end().at("late_translations"), 0);
    Guest next = lab.connect();
    ASSERT_NO_FATAL_FAILURE(expect_frames_pass(lab.station(), next));
    lab.end();
    const std::string told = lab.pump().errors();
    EXPECT_NE(told.find("closed the channel"), std::string::npos) << told;
    EXPECT_NE(told.find("iommu.strict=1"), std::string::npos) << told;
}

// The end of a ring takes back all that was asked for, also for a ring that waits beside others.
TEST(PumpIommuFaults, RingThatWaitsIsStillAskedForWhenAnotherPairEnds) {
    PumpLab lab({.arguments = {"--queues=2"}});
    Guest guest = lab.connect({.features = translated | bit(Feature::mq), .queue_pairs = 2});
    EXPECT_TRUE(guest.send(with_header(frame_to_wire(1), PumpLab::header_bytes)));
    ASSERT_NO_FATAL_FAILURE(expect_frames_to_wire(lab.station(), 1, 1));
    const auto ring = guest.transmitter().ring->addresses(1);
    guest.iommu().answer(false);
    ASSERT_EQ(
        guest.front_end().acknowledged(
            Request::iotlb_msg, Iommu::invalidation(guest.ram().guest_address(ring.descriptors),
                                                    ring.used - ring.descriptors)),
        0u);
    guest.front_end().stop_ring(2);
    guest.iommu().answer(true);
    EXPECT_TRUE(guest.send(with_header(frame_to_wire(2), PumpLab::header_bytes)));
    expect_frames_to_wire(lab.station(), 2, 1);
}

TEST(PumpIommuFaults, KeepsNoMemoryOfAGuestThatIsGone) {
    PumpLab lab;
    const auto maps_guest = [&] {
        std::ifstream maps(fmt::format("/proc/{}/maps", lab.pump().pid()));
        const std::string all{std::istreambuf_iterator<char>(maps), {}};
        return all.find("memfd:guest") != std::string::npos;
    };
    {
        Guest guest = lab.connect({.features = translated, .ring_size = 1024});
        ASSERT_NO_FATAL_FAILURE(expect_frames_pass(lab.station(), guest));
        EXPECT_TRUE(maps_guest());
    }
    lab.session_end();
    EXPECT_FALSE(maps_guest());
}

} // namespace
} // namespace tapline::netns
