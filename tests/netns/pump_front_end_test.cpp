// Front ends that come, go and make mistakes, one after the other.
#include "tests/netns/frames.h"
#include "tests/netns/pump_lab.h"

#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <span>

namespace tapline::netns {
namespace {

using fakes::FrontEnd;
using fakes::Guest;
using vhost::Request;
using vhost::VringState;

class FrontEnds : public testing::Test {
protected:
    PumpLab lab_;
};

TEST_F(FrontEnds, AreServedOneAfterTheOther) {
    for (int session = 1; session <= 3; ++session) {
        Guest guest = lab_.connect();
        expect_frames_pass(lab_.station(), guest);
        guest.front_end().close();
        const auto counters = lab_.session_end();
        EXPECT_EQ(counters.at("sessions"), session);
        EXPECT_EQ(counters.at("guest_to_wire").at("frames"), session);
        EXPECT_EQ(counters.at("wire_to_guest").at("frames"), session);
        EXPECT_TRUE(counters.at("protocol_errors").empty());
    }
}

// As one that passes the offer on to its guest may not pass on the reset.
TEST_F(FrontEnds, AreNotOfferedRingReset) {
    FrontEnd front_end = FrontEnd::connect(lab_.socket());
    const uint64_t offered = front_end.ask(Request::get_features);
    EXPECT_TRUE(has(offered, vhost::Feature::version_1));
    EXPECT_FALSE(has(offered, vhost::Feature::ring_reset));
}

TEST_F(FrontEnds, WaitUntilTheOneBeforeHasGone) {
    Guest first = lab_.connect();
    FrontEnd waiting = FrontEnd::connect(lab_.socket());
    waiting.send(Request::get_queue_num);
    expect_frames_pass(lab_.station(), first);
    EXPECT_FALSE(fakes::wait_readable(waiting.fd(), std::chrono::milliseconds(0)));
    first.front_end().close();
    EXPECT_EQ(waiting.receive_as<uint64_t>(), 2);
}

TEST_F(FrontEnds, DoNotGetWhatTheOneBeforeLeftUnread) {
    {
        Guest first = lab_.connect({.features = PumpLab::usual, .receive_buffers = 4});
        for (uint32_t number = 0; number < 100; ++number) {
            lab_.station().send(with_header(frame_to_guest(number), Station::header_bytes));
        }
    }
    lab_.session_end();
    Guest second = lab_.connect();
    expect_frames_pass(lab_.station(), second);
}

// As Alioth does: every message asks for an answer, also the one that agrees on answers, and all
// descriptors for kicks come first.
TEST(FrontEndsOfAnotherOrder, HaveAllAnswersAndTheirFrames) {
    PumpLab lab({.arguments = {"--queues", "2"}});
    for (int session = 1; session <= 2; ++session) {
        FrontEnd front_end = FrontEnd::connect(lab.socket());
        EXPECT_EQ(front_end.acknowledged(Request::set_protocol_features,
                                         vhost::protocol_feature_reply_ack),
                  0);
        const UniqueFd unused = fakes::make_eventfd();
        for (const uint64_t ring : {2, 3}) {
            EXPECT_EQ(front_end.acknowledged(Request::set_vring_kick, ring, {unused.get()}), 0);
        }
        Guest guest(std::move(front_end),
                    {.features = PumpLab::usual | bit(vhost::Feature::protocol_features),
                     .events = FrontEnd::Events::kicks_first});
        for (int count = 0; count < 3; ++count) {
            expect_frames_pass(lab.station(), guest);
        }
        guest.front_end().close();
        EXPECT_TRUE(lab.session_end().at("protocol_errors").empty());
    }
}

TEST_F(FrontEnds, MaySendAMessageByteByByte) {
    FrontEnd front_end = FrontEnd::connect(lab_.socket());
    const vhost::Header message{.request = static_cast<uint32_t>(Request::get_queue_num),
                                .flags = vhost::version,
                                .size = 0};
    for (const std::byte& byte : std::as_bytes(std::span(&message, 1))) {
        front_end.send_raw(std::span(&byte, 1));
    }
    EXPECT_EQ(front_end.receive_as<uint64_t>(), 2);
}

// The last call may have gone to the one before, where nobody listened any more: QEMU replaces them
// when a guest masks an interrupt, and does not wait until the pump knows.
TEST_F(FrontEnds, ThatReplaceADescriptorForCallsAreCalledThere) {
    Guest guest = lab_.connect();
    expect_frames_pass(lab_.station(), guest);
    for (const uint64_t ring : {0, 1}) {
        const UniqueFd call = fakes::make_eventfd();
        guest.front_end().send(Request::set_vring_call, ring, {call.get()});
        EXPECT_TRUE(fakes::wait_readable(call.get())) << "of ring " << ring;
    }
}

// A write to such an eventfd waits until somebody reads it, and nobody does.
TEST_F(FrontEnds, MayLeaveTheirCallsUnread) {
    const UniqueFd full(eventfd(0, EFD_CLOEXEC));
    eventfd_write(full.get(), std::numeric_limits<uint64_t>::max() - 1);
    Guest guest = lab_.connect();
    guest.front_end().send(Request::set_vring_call, uint64_t{1}, {full.get()});
    guest.front_end().send(Request::set_vring_err, uint64_t{1}, {full.get()});
    for (int round = 0; round < 300; ++round) {
        expect_frames_pass(lab_.station(), guest);
    }
    fakes::SplitDriverRing& ring = guest.transmitter().split();
    ring.add_head(ring.size());
    guest.kick(guest.transmitter());
    lab_.station().send(with_header(frame_to_guest(1), Station::header_bytes));
    expect_frames_to_guest(guest, 1, 1);
    EXPECT_TRUE(guest.front_end().ask(Request::get_features));
    EXPECT_EQ(lab_.end().at("guest_to_wire").at("ring_faults"),
              nlohmann::json({{"head_out_of_range", 1}}));
}

// As QEMU asks after a migration, for switches to learn where the guest is now.
TEST_F(FrontEnds, MayHaveTheirGuestAnnounced) {
    Station switches("peer0", ETH_P_RARP);
    for (const uint64_t features : {PumpLab::usual, uint64_t{0}}) { // Headers of 12 and 10 bytes.
        Guest guest = lab_.connect({.features = features});
        constexpr std::array<uint8_t, 8> station = {0x52, 0x54, 0, 0, 0, 1};
        EXPECT_EQ(guest.front_end().acknowledged(Request::send_rarp, station), 0);
        const auto heard = switches.receive(fakes::deadline);
        ASSERT_TRUE(heard);
        const Bytes frame = without_header(*heard, Station::header_bytes);
        EXPECT_EQ(frame.size(), frame_bytes_min);
        EXPECT_TRUE(std::equal(&frame[6], &frame[12], as_bytes(std::span(station)).begin()));
        EXPECT_EQ(frame[12], std::byte{0x80});
        EXPECT_EQ(frame[13], std::byte{0x35});
        guest.front_end().close();
        lab_.session_end();
    }
}

TEST_F(FrontEnds, MayGiveTheirGuestAnyMtuOfTheDevice) {
    Guest guest = lab_.connect({.features = PumpLab::usual | bit(vhost::Feature::mtu)});
    EXPECT_EQ(guest.front_end().acknowledged(Request::net_set_mtu, uint64_t{1500}), 0);
    EXPECT_NE(guest.front_end().acknowledged(Request::net_set_mtu, uint64_t{1501}), 0);
    expect_frames_pass(lab_.station(), guest);
    EXPECT_EQ(lab_.end().at("protocol_errors"), nlohmann::json({{"bad_value", 1}}));
}

TEST_F(FrontEnds, KeepTheirTrafficWhileTheirMistakesAreAcknowledged) {
    Guest guest = lab_.connect();
    vhost::MemoryTable too_many{};
    too_many.count = vhost::memory_regions_max + 1;
    for (uint64_t mistakes = 1; mistakes <= 3; ++mistakes) {
        EXPECT_NE(guest.front_end().acknowledged(Request::set_features, ~uint64_t{0}), 0);
        EXPECT_NE(guest.front_end().acknowledged(Request::set_vring_num,
                                                 VringState{.index = 0, .num = 8}),
                  0);
        EXPECT_NE(guest.front_end().acknowledged(Request::set_mem_table, too_many), 0);
        expect_frames_pass(lab_.station(), guest);
    }
    EXPECT_EQ(
        lab_.end().at("protocol_errors"),
        nlohmann::json({{"unoffered_feature", 3}, {"out_of_order", 3}, {"wrong_payload_size", 3}}));
}

// Wherever on the way it happens.
TEST(ShortOfDescriptors, SessionsEndAndThePumpDoesNot) {
    PumpLab lab;
    const auto limit_descriptors = [&](rlim_t most) {
        const rlimit limit{.rlim_cur = most, .rlim_max = 1024};
        ASSERT_EQ(prlimit(lab.pump().pid(), RLIMIT_NOFILE, &limit, nullptr), 0);
    };
    for (rlim_t most = 14; most < 30; ++most) {
        limit_descriptors(most);
        FrontEnd front_end = FrontEnd::connect(lab.socket());
        fakes::GuestRam ram(1 << 20);
        const fakes::SplitDriverRing ring(ram, 64, false);
        try {
            front_end.ask(vhost::Request::get_features);
            front_end.share(ram);
            front_end.start_ring(0, ring);
            front_end.start_ring(1, ring);
            front_end.ask(vhost::Request::get_features);
        } catch (const std::runtime_error&) {} // It was closed: then it had too much.
    }
    limit_descriptors(1024);
    Guest guest = lab.connect();
    expect_frames_pass(lab.station(), guest);
}

} // namespace
} // namespace tapline::netns
