// The pump against guests that break their rings or the memory under them: the ring stops and is
// told of, everything else goes on.
#include "tests/netns/frames.h"
#include "tests/netns/pump_lab.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

namespace tapline::netns {
namespace {

using fakes::Buffer;
using fakes::Guest;
using fakes::SplitDriverRing;
using vhost::Feature;

constexpr uint16_t has_next = SplitDriverRing::next_flag;
constexpr uint16_t writable = SplitDriverRing::write_flag;
constexpr uint16_t indirect = SplitDriverRing::indirect_flag;

struct Breakage {
    std::string name;
    const char* fault;
    // Breaks an empty ring; area is 4096 bytes of guest memory to use.
    std::function<void(SplitDriverRing&, uint64_t area)> act;
    uint64_t features = PumpLab::usual;
    friend void PrintTo(const Breakage& breakage, std::ostream* out) { *out << breakage.name; }
};

class BrokenRings : public testing::TestWithParam<Breakage> {
protected:
    void break_ring(Guest& guest, Guest::Lane& lane) {
        GetParam().act(lane.split(), guest.ram().allocate(4096));
        guest.kick(lane);
    }

    // Broken rings end no session, so the guest goes in peace and another takes its place.
    void expect_counted_and_next_guest_served(Guest& guest, const char* direction) {
        EXPECT_TRUE(guest.front_end().ask(vhost::Request::get_features)) << "the session ended";
        guest.front_end().close();
        const auto counters = lab_.session_end();
        EXPECT_EQ(counters.at(direction).at("ring_faults"),
                  nlohmann::json({{GetParam().fault, 1}}));
        Guest next = lab_.connect();
        expect_frames_pass(lab_.station(), next);
    }

    PumpLab lab_;
};

TEST_P(BrokenRings, OfGuestToWireLeaveTheOtherDirectionAlive) {
    Guest guest = lab_.connect({.features = GetParam().features});
    Guest::Lane& broken = guest.transmitter();
    break_ring(guest, broken);
    EXPECT_TRUE(fakes::wait_readable(broken.events.error.get()));
    lab_.station().send(with_header(frame_to_guest(1), Station::header_bytes));
    expect_frames_to_guest(guest, 1, 1);
    expect_counted_and_next_guest_served(guest, "guest_to_wire");
}

TEST_P(BrokenRings, OfWireToGuestLeaveTheOtherDirectionAlive) {
    Guest guest = lab_.connect({.features = GetParam().features, .receive_buffers = 0});
    Guest::Lane& broken = guest.receiver();
    break_ring(guest, broken);
    lab_.station().send(with_header(frame_to_guest(1), Station::header_bytes));
    EXPECT_TRUE(fakes::wait_readable(broken.events.error.get()));
    EXPECT_TRUE(guest.send(with_header(frame_to_wire(2), PumpLab::header_bytes)));
    expect_frames_to_wire(lab_.station(), 2, 1);
    expect_counted_and_next_guest_served(guest, "wire_to_guest");
}

Breakage in_table(const std::string& name, const char* fault,
                  const SplitDriverRing::Descriptor& descriptor) {
    return {name, fault, [=](SplitDriverRing& ring, uint64_t area) {
                ring.table()[0] = descriptor;
                if (descriptor.address == 0) {
                    ring.table()[0].address = area;
                }
                ring.add_head(0);
            }};
}

// area holds an indirect table of one descriptor.
Breakage in_indirect_table(const std::string& name, uint32_t length, uint16_t flags,
                           uint64_t features = PumpLab::usual) {
    return {name, "indirect_table",
            [=](SplitDriverRing& ring, uint64_t area) {
                ring.table()[0] = {.address = area, .length = length, .flags = flags, .next = 1};
                ring.add_head(0);
            },
            features};
}

void add_readable_after_writable(SplitDriverRing& ring, uint64_t area) {
    const std::vector<Buffer> chain = {{.address = area, .length = 64, .writable = true},
                                       {.address = area, .length = 64, .writable = false}};
    ring.add(chain);
}

constexpr uint64_t nowhere = 1ull << 40;
constexpr uint16_t ring_size = 256;

INSTANTIATE_TEST_SUITE_P(
    Faults, BrokenRings,
    testing::Values(
        Breakage{"IndexTooFarAhead", "available_index",
                 [](SplitDriverRing& ring, uint64_t) { ring.set_available_index(ring_size + 1); }},
        Breakage{"IndexBehind", "available_index",
                 [](SplitDriverRing& ring, uint64_t) { ring.set_available_index(65535); }},
        Breakage{"HeadOutOfRange", "head_out_of_range",
                 [](SplitDriverRing& ring, uint64_t) { ring.add_head(ring_size); }},
        in_table("NextOutOfRange", "next_out_of_range", {0, 64, has_next | writable, ring_size}),
        in_table("ChainOfOneInACircle", "chain_too_long", {0, 8, has_next | writable, 0}),
        in_table("DescriptorOutsideMemory", "descriptor_outside_memory",
                 {nowhere, 64, writable, 0}),
        in_table("DescriptorThatWraps", "descriptor_outside_memory", {~15ull, 64, writable, 0}),
        in_table("DescriptorBeyondTheEnd", "descriptor_outside_memory", {0, ~0u, writable, 0}),
        in_table("IndirectTableOutsideMemory", "indirect_table", {nowhere, 16, indirect, 0}),
        in_indirect_table("IndirectTableEmpty", 0, indirect),
        in_indirect_table("IndirectTableRagged", 17, indirect),
        in_indirect_table("IndirectTableWithNext", 16, indirect | has_next),
        in_indirect_table("IndirectTableNotNegotiated", 16, indirect, PumpLab::plain),
        Breakage{"ReadableAfterWritable", "readable_after_writable", add_readable_after_writable}),
    [](const auto& test) { return test.param.name; });

class BrokenMemory : public testing::Test {
protected:
    PumpLab lab_;
};

// Whoever touches memory that is gone gets SIGBUS, in this process too: nothing here does.
TEST_F(BrokenMemory, TruncatedToNothingBreaksBothRingsAndNotThePump) {
    Guest guest = lab_.connect();
    expect_frames_pass(lab_.station(), guest);
    ASSERT_EQ(ftruncate(guest.ram().fd(), 0), 0);
    lab_.station().send(with_header(frame_to_guest(1), Station::header_bytes));
    eventfd_write(guest.transmitter().events.kick.get(), 1);
    for (Guest::Lane* lane : {&guest.receiver(), &guest.transmitter()}) {
        EXPECT_TRUE(fakes::wait_readable(lane->events.error.get()));
    }
    guest.front_end().close();
    const auto counters = lab_.session_end();
    for (const char* direction : {"wire_to_guest", "guest_to_wire"}) {
        EXPECT_EQ(counters.at(direction).at("ring_faults"),
                  nlohmann::json({{"available_index", 1}}));
    }
    Guest next = lab_.connect();
    expect_frames_pass(lab_.station(), next);
}

// Nothing of a mapping with a hole in it can be trusted, so the ring is broken as well.
TEST_F(BrokenMemory, TruncatedUnderAReceiveBufferBreaksTheRingAndNotThePump) {
    constexpr uint64_t page = 4096;
    Guest guest = lab_.connect({.features = PumpLab::usual, .receive_buffers = 0});
    const Buffer gone{
        .address = guest.ram().allocate(page, page), .length = page, .writable = true};
    guest.receiver().ring->add(std::span(&gone, 1));
    const uint64_t kept = gone.address - guest.ram().region().guest_address;
    ASSERT_EQ(ftruncate(guest.ram().fd(), static_cast<off_t>(kept)), 0);
    lab_.station().send(with_header(frame_to_guest(1), Station::header_bytes));
    EXPECT_TRUE(fakes::wait_readable(guest.receiver().events.error.get()));
    guest.front_end().close();
    EXPECT_EQ(lab_.session_end().at("wire_to_guest").at("ring_faults"),
              nlohmann::json({{"available_index", 1}}));
    Guest next = lab_.connect();
    expect_frames_pass(lab_.station(), next);
}

} // namespace
} // namespace tapline::netns
