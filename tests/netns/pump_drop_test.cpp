// Frames, or chains that should hold one, that go no further: each is counted by its cause and the
// next one passes.
#include "tests/netns/frames.h"
#include "tests/netns/pump_lab.h"

#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <sys/eventfd.h>

#include <string>
#include <vector>

namespace tapline::netns {
namespace {

using fakes::Buffer;
using fakes::Guest;
using fakes::SplitDriverRing;
using fakes::Used;

class Drops : public testing::Test {
protected:
    void send_to_guest(uint32_t number, size_t bytes) {
        lab_.station().send(with_header(frame_to_guest(number, bytes), Station::header_bytes));
    }

    // At the end of the test.
    void expect_dropped(const char* direction, const char* cause, uint64_t count) {
        EXPECT_EQ(lab_.end().at(direction).at("dropped"), nlohmann::json({{cause, count}}));
    }

    // The chain the device gives back next.
    static Used wait_used(Guest::Lane& lane) {
        while (true) {
            if (const auto used = lane.ring->next_used()) {
                return *used;
            }
            if (lane.ring->enable_calls()) {
                if (!fakes::wait_readable(lane.events.call.get())) {
                    throw std::runtime_error("no chain is given back");
                }
                eventfd_t drained = 0;
                eventfd_read(lane.events.call.get(), &drained);
            }
        }
    }

    PumpLab lab_;
};

TEST_F(Drops, OfFramesFromTheGuestTooShortForAnAddress) {
    Guest guest = lab_.connect();
    for (const size_t bytes : {size_t{1}, PumpLab::header_bytes - 1, PumpLab::header_bytes,
                               PumpLab::header_bytes + ETH_HLEN - 1}) {
        guest.send(Bytes(bytes));
    }
    guest.flush();
    expect_frames_pass(lab_.station(), guest);
    expect_dropped("guest_to_wire", "too_short", 4);
}

TEST_F(Drops, OfFramesFromTheGuestLongerThanAny) {
    Guest guest = lab_.connect();
    guest.send(Bytes(69000)); // 64 KiB, its headers, and more.
    guest.flush();
    expect_frames_pass(lab_.station(), guest);
    expect_dropped("guest_to_wire", "too_long", 1);
}

TEST_F(Drops, OfChainsFromTheGuestWithPartsToWriteTo) {
    Guest guest = lab_.connect();
    Guest::Lane& lane = guest.transmitter();
    const uint64_t area = guest.ram().allocate(4096);
    const std::vector<Buffer> chain = {{.address = area, .length = 100, .writable = false},
                                       {.address = area, .length = 100, .writable = true}};
    const auto head = lane.ring->add(chain);
    guest.kick(lane);
    const Used used = wait_used(lane);
    EXPECT_EQ(used.id, head);
    EXPECT_EQ(used.length, 0);
    expect_frames_pass(lab_.station(), guest);
    expect_dropped("guest_to_wire", "not_readable", 1);
}

TEST_F(Drops, OfChainsForTheGuestWithoutRoomForAHeader) {
    Guest guest = lab_.connect({.features = PumpLab::usual, .receive_buffers = 0});
    Guest::Lane& lane = guest.receiver();
    const uint64_t area = guest.ram().allocate(4096);
    std::vector<uint32_t> heads;
    for (const Buffer buffer : {Buffer{.address = area, .length = 100, .writable = false},
                                Buffer{.address = area, .length = 11, .writable = true},
                                Buffer{.address = area, .length = 100, .writable = true}}) {
        heads.push_back(lane.ring->add(std::span(&buffer, 1)).value());
    }
    guest.kick(lane);
    send_to_guest(1, frame_bytes_min);
    for (size_t i = 0; i < heads.size(); ++i) {
        const Used used = wait_used(lane);
        EXPECT_EQ(used.id, heads[i]);
        EXPECT_EQ(used.length, i + 1 < heads.size() ? 0 : PumpLab::header_bytes + frame_bytes_min);
    }
    const auto bytes = guest.ram().at(area + PumpLab::header_bytes, frame_bytes_min);
    EXPECT_EQ(Bytes(bytes.begin(), bytes.end()), frame_to_guest(1));
    expect_dropped("wire_to_guest", "no_room_for_header", 2);
}

TEST_F(Drops, OfFramesLongerThanABufferThatIsNotMerged) {
    Guest guest = lab_.connect({.features = PumpLab::plain, .receive_buffer_bytes = 200});
    for (const size_t too_big : {200, 1514, 189}) {
        send_to_guest(1, too_big);
        send_to_guest(2, 188);
        expect_frames_to_guest(guest, 2, 1);
    }
    expect_dropped("wire_to_guest", "too_big_for_guest", 3);
}

// Held for a while, as buffers may still come; they do not.
TEST_F(Drops, OfFramesLongerThanAllTheBuffersOfAGuest) {
    Guest guest = lab_.connect(
        {.features = PumpLab::usual, .receive_buffer_bytes = 200, .receive_buffers = 4});
    send_to_guest(1, 1514);
    send_to_guest(2, 700);
    expect_frames_to_guest(guest, 2, 1);
    expect_dropped("wire_to_guest", "too_big_for_guest", 1);
}

TEST_F(Drops, DoNotHappenToAFrameWhoseBuffersComeLate) {
    Guest guest = lab_.connect(
        {.features = PumpLab::usual, .receive_buffer_bytes = 200, .receive_buffers = 4});
    for (uint32_t number = 0; number < 200; ++number) {
        send_to_guest(number, 60 + 3 * number);
    }
    expect_frames_to_guest(guest, 0, 200);
    EXPECT_TRUE(lab_.end().at("wire_to_guest").at("dropped").empty());
}

} // namespace
} // namespace tapline::netns
