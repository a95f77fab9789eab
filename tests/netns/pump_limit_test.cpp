// Rate limits: nobody gets more than the rate and its burst, nothing is lost or overtaken for it.
#include "tests/netns/frames.h"
#include "tests/netns/packets.h"
#include "tests/netns/pump_lab.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace tapline::netns {
namespace {

using fakes::Guest;
using vhost::Feature;
using Clock = std::chrono::steady_clock;

// What may have come by now, if nothing had before the start. The pump's clock is the same; one
// token may just be due at the start.
class Allowance {
public:
    Allowance(double per_second, double burst) : per_second_(per_second), burst_(burst) {}

    double now() const {
        return 1 + burst_ +
               per_second_ * std::chrono::duration<double>(Clock::now() - start_).count();
    }

private:
    const Clock::time_point start_ = Clock::now();
    const double per_second_;
    const double burst_;
};

void send_to_guest(PumpLab& lab, uint32_t count, size_t bytes = frame_bytes_min) {
    for (uint32_t number = 0; number < count; ++number) {
        lab.station().send(with_header(frame_to_guest(number, bytes), Station::header_bytes));
    }
}

// As many of these frames as the guest has room for. Returns the first that is left.
uint32_t send_to_wire(Guest& guest, uint32_t first, uint32_t end, size_t bytes = frame_bytes_min) {
    while (first < end &&
           guest.send(with_header(frame_to_wire(first, bytes), PumpLab::header_bytes))) {
        ++first;
    }
    return first;
}

TEST(Limits, OfFramesFromTheGuestLetTheRestWaitInTheRing) {
    PumpLab lab({.arguments = {"--limit-guest-to-wire", "1kfps,burst=50f"}});
    Guest guest = lab.connect();
    const Allowance frames(1000, 50);
    constexpr uint32_t sent = 250;
    uint32_t given = 0;
    for (uint32_t number = 0; number < sent; ++number) {
        given = send_to_wire(guest, given, sent);
        ASSERT_NO_FATAL_FAILURE(expect_frames_to_wire(lab.station(), number, 1));
        ASSERT_LE(number + 1, frames.now());
    }
    expect_frames_pass(lab.station(), guest);
    EXPECT_TRUE(lab.end().at("guest_to_wire").at("dropped").empty());
}

TEST(Limits, OfFramesToTheGuestLetTheRestWaitInTheDevice) {
    PumpLab lab({.arguments = {"--limit-wire-to-guest", "1kfps,burst=50f"}});
    Guest guest = lab.connect();
    const Allowance frames(1000, 50);
    constexpr uint32_t sent = 500;
    send_to_guest(lab, sent);
    for (uint32_t number = 0; number < sent; ++number) {
        ASSERT_NO_FATAL_FAILURE(expect_frames_to_guest(guest, number, 1));
        ASSERT_LE(number + 1, frames.now());
    }
    expect_frames_pass(lab.station(), guest);
    EXPECT_TRUE(lab.end().at("wire_to_guest").at("dropped").empty());
}

TEST(Limits, OfBytesHoldBothWays) {
    PumpLab lab({.arguments = {"--limit-guest-to-wire", "8mbit,burst=20kb", "--limit-wire-to-guest",
                               "8mbit,burst=20kb"}});
    Guest guest = lab.connect();
    const Allowance bytes(1e6, 20'000);
    constexpr uint32_t sent = 200;
    constexpr size_t size = 1000;
    send_to_guest(lab, sent, size);
    uint32_t given = 0;
    for (uint32_t number = 0; number < sent; ++number) {
        given = send_to_wire(guest, given, sent, size);
        ASSERT_NO_FATAL_FAILURE(expect_frames_to_wire(lab.station(), number, 1));
        ASSERT_LE((number + 1) * size, bytes.now());
        ASSERT_NO_FATAL_FAILURE(expect_frames_to_guest(guest, number, 1));
        ASSERT_LE(number * size, bytes.now()) << "one frame may come before its time";
    }
    const auto counters = lab.end();
    EXPECT_EQ(counters.at("guest_to_wire").at("bytes"), sent * size);
    EXPECT_EQ(counters.at("wire_to_guest").at("bytes"), sent * size);
}

TEST(Limits, HoldForAllQueuePairsTogether) {
    PumpLab lab({.arguments = {"--queues", "2", "--limit-guest-to-wire", "1kfps,burst=50f"}});
    Guest guest = lab.connect({.features = PumpLab::usual | bit(Feature::mq), .queue_pairs = 2});
    const Allowance frames(1000, 50);
    constexpr uint32_t sent = 400;
    uint32_t given[] = {0, 1}; // Even numbers over the first pair.
    uint32_t next[] = {0, 1};  // Each queue pair keeps its order.
    for (uint32_t count = 1; count <= sent; ++count) {
        for (const uint16_t pair : {uint16_t{0}, uint16_t{1}}) {
            while (given[pair] < sent &&
                   guest.send(with_header(frame_to_wire(given[pair]), PumpLab::header_bytes), {},
                              pair)) {
                given[pair] += 2;
            }
        }
        const auto received = lab.station().receive(fakes::deadline);
        ASSERT_TRUE(received) << "after " << count;
        const uint32_t number = number_of(without_header(*received, Station::header_bytes));
        ASSERT_EQ(number, next[number % 2]);
        next[number % 2] += 2;
        ASSERT_LE(count, frames.now());
    }
}

TEST(Limits, CountTheSegmentsOfALargeFrame) {
    PumpLab lab({.arguments = {"--limit-guest-to-wire", "400fps,burst=50f"}});
    Guest guest =
        lab.connect({.features = PumpLab::usual | vhost::bits(Feature::csum, Feature::host_tso4)});
    const Allowance frames(400, 50);
    constexpr unsigned sent = 5;
    constexpr unsigned segments = 40;
    constexpr uint16_t gso_size = 1000;
    const Packet large{.to = peer_mac,
                       .from = guest_mac,
                       .checksum = Checksum::partial,
                       .payload = Bytes(segments * gso_size)};
    for (unsigned count = 0; count < sent; ++count) {
        ASSERT_TRUE(guest.send(offload(large, gso_size).bytes(PumpLab::header_bytes)));
    }
    for (unsigned count = 1; count <= sent; ++count) {
        ASSERT_TRUE(lab.station().receive(fakes::deadline));
        ASSERT_LE(count * segments, frames.now());
    }
}

// A worker that waits for its rate can still be stopped, and what waits is there for the next.
TEST(Limits, DoNotDelayTheFrontEnd) {
    PumpLab lab({.arguments = {"--limit-guest-to-wire", "1fps,burst=1f"}});
    Guest guest = lab.connect();
    send_to_wire(guest, 0, 50);
    expect_frames_to_wire(lab.station(), 0, 1);
    const uint32_t base = guest.front_end().stop_ring(1);
    EXPECT_GE(base, 1);
    EXPECT_LE(base, fakes::deadline.count() + 1) << "the base is the next frame to send";
    EXPECT_TRUE(lab.end().at("guest_to_wire").at("dropped").empty());
}

TEST(Limits, OfWhatTheDeviceCannotHoldAreCountedByTheKernel) {
    PumpLab lab(
        {.arguments = {"--limit-wire-to-guest", "1kfps,burst=50f", "--queue-length", "100"}});
    Guest guest = lab.connect();
    constexpr uint32_t sent = 1000;
    send_to_guest(lab, sent);
    uint32_t received = 0;
    uint32_t next = 0;
    while (const auto frame =
               guest.receive(received < 100 ? fakes::deadline : std::chrono::milliseconds(500))) {
        const uint32_t number = number_of(without_header(*frame, PumpLab::header_bytes));
        ASSERT_GE(number, next) << "out of order, or twice";
        next = number + 1;
        ++received;
    }
    const auto dropped = nlohmann::json::parse(output_of("ip -j -s link show dev tl0"))
                             .at(0)
                             .at("stats64")
                             .at("rx")
                             .at("dropped")
                             .get<uint32_t>();
    EXPECT_GT(dropped, 0);
    EXPECT_EQ(received + dropped, sent);
    expect_frames_pass(lab.station(), guest);
}

} // namespace
} // namespace tapline::netns
