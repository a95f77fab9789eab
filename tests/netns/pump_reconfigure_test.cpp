// The control side changes while frames are under way in both directions: none is lost, comes twice
// or overtakes another.
#include "tests/netns/frames.h"
#include "tests/netns/pump_lab.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>

namespace tapline::netns {
namespace {

using fakes::Guest;
using vhost::Feature;
using vhost::Request;
using namespace std::chrono_literals;

// Numbered frames both ways. A thread is the station: it keeps a window of frames under way to the
// guest and takes what the guest sends.
class Crossfire {
public:
    Crossfire(Station& station, Guest& guest, uint32_t frames)
        : station_(station), guest_(guest), frames_(frames), thread_([this] { be_station(); }) {}
    ~Crossfire() {
        stop_ = true;
        thread_.join();
    }
    Crossfire(const Crossfire&) = delete;
    Crossfire& operator=(const Crossfire&) = delete;

    // So many frames to the guest arrive, and as many are sent from it.
    void pass(uint32_t frames) {
        for (uint32_t i = 0; i < frames; ++i) {
            const uint32_t number = passed_;
            expect_frames_to_guest(guest_, number, 1);
            if (testing::Test::HasFatalFailure()) {
                return;
            }
            const Bytes frame = with_header(frame_to_wire(number), PumpLab::header_bytes);
            if (!guest_.send(frame)) {
                guest_.flush();
                ASSERT_TRUE(guest_.send(frame));
            }
            ++passed_;
        }
    }

    // The rest, to the last frame.
    void finish() {
        pass(frames_ - passed_);
        guest_.flush();
        const auto until = std::chrono::steady_clock::now() + fakes::deadline;
        while (to_wire_ < frames_ && std::chrono::steady_clock::now() < until) {
            std::this_thread::yield();
        }
        stop_ = true;
        EXPECT_EQ(to_wire_, frames_) << "frames to the wire, up to the first that was wrong";
        EXPECT_EQ(strays_, 0);
        EXPECT_FALSE(guest_.receive(0ms)) << "a frame to the guest came twice";
    }

private:
    static constexpr uint32_t window = 128; // Less than the tap queue holds.

    void be_station() {
        uint32_t sent = 0;
        while (!stop_) {
            for (; sent < frames_ && sent - passed_ < window; ++sent) {
                station_.send(with_header(frame_to_guest(sent), Station::header_bytes));
            }
            if (const auto received = station_.receive(1ms)) {
                const bool next =
                    without_header(*received, Station::header_bytes) == frame_to_wire(to_wire_);
                ++(next ? to_wire_ : strays_);
            }
        }
    }

    Station& station_;
    Guest& guest_;
    const uint32_t frames_;
    std::atomic<uint32_t> passed_ = 0;
    std::atomic<uint32_t> to_wire_ = 0;
    std::atomic<uint32_t> strays_ = 0;
    std::atomic<bool> stop_ = false;
    std::thread thread_; // Last: it uses all of the above.
};

struct Change {
    std::string name;
    std::function<void(Guest&)> make; // Returns once the pump has made it.
    friend void PrintTo(const Change& change, std::ostream* out) { *out << change.name; }
};

class Changes : public testing::TestWithParam<Change> {
protected:
    PumpLab lab_;
};

TEST_P(Changes, UnderTrafficLoseNothing) {
    constexpr uint32_t rounds = 30;
    constexpr uint32_t frames_a_round = 50;
    constexpr uint16_t buffers = 32; // Fewer than frames under way: some always wait in the tap.
    Guest guest = lab_.connect({.features = PumpLab::usual, .receive_buffers = buffers});
    Crossfire crossfire(lab_.station(), guest, rounds * frames_a_round);
    for (uint32_t round = 0; round + 1 < rounds && !HasFatalFailure(); ++round) {
        crossfire.pass(frames_a_round);
        GetParam().make(guest);
    }
    crossfire.finish();
    const auto counters = lab_.end();
    for (const char* direction : {"guest_to_wire", "wire_to_guest"}) {
        EXPECT_EQ(counters.at(direction).at("frames"), rounds * frames_a_round);
        EXPECT_TRUE(counters.at(direction).at("dropped").empty());
    }
    EXPECT_TRUE(counters.at("protocol_errors").empty());
}

// An answer: all messages before were handled.
void await(Guest& guest) {
    guest.front_end().ask(Request::get_features);
}

void share_again(Guest& guest) {
    guest.front_end().share(guest.ram());
    await(guest);
}

// The same memory in two parts; receive buffers and rings lie in the first.
void share_in_two_parts(Guest& guest) {
    vhost::MemoryTable table{};
    table.count = 2;
    vhost::MemoryRegion& first = table.regions[0];
    vhost::MemoryRegion& second = table.regions[1];
    first = guest.ram().region();
    first.size /= 2;
    second = first;
    second.guest_address += first.size;
    second.user_address += first.size;
    second.mmap_offset += first.size;
    guest.front_end().send(Request::set_mem_table, table, {guest.ram().fd(), guest.ram().fd()});
    await(guest);
}

// As QEMU does when memory is plugged in and when the map of the memory in use changes: for a
// while the rings are nowhere.
void plug_memory(Guest& guest) {
    const fakes::GuestRam more(1 << 20, 1ull << 32);
    EXPECT_TRUE(guest.front_end().add(more.region(), more.fd()));
    EXPECT_TRUE(guest.front_end().remove(more.region()));
}

void take_memory_away_for_a_moment(Guest& guest) {
    EXPECT_TRUE(guest.front_end().remove(guest.ram().region()));
    EXPECT_TRUE(guest.front_end().add(guest.ram().region(), guest.ram().fd()));
}

void replace_calls(Guest& guest) {
    for (Guest::Lane* lane : {&guest.receiver(), &guest.transmitter()}) {
        lane->events.call = fakes::make_eventfd();
        guest.front_end().send(Request::set_vring_call, uint64_t{lane->index},
                               {lane->events.call.get()});
    }
    await(guest);
}

void disable_for_a_moment(Guest& guest, const Guest::Lane& lane) {
    guest.front_end().enable_ring(lane.index, false);
    guest.front_end().enable_ring(lane.index, true);
    await(guest);
}

void restart(Guest& guest, Guest::Lane& lane) {
    const uint32_t base = guest.front_end().stop_ring(lane.index);
    lane.events = guest.front_end().start_ring(lane.index, *lane.ring, base);
    await(guest);
}

void change_mtu(Guest&) {
    run("ip link set peer0 mtu 9000 && ip link set uplink mtu 9000 && ip link set tl0 mtu 9000");
    run("ip link set uplink mtu 1500 && ip link set peer0 mtu 1500"); // The device's follows.
}

INSTANTIATE_TEST_SUITE_P(Links, Changes, testing::Values(Change{"OfTheMtu", change_mtu}),
                         [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Messages, Changes,
    testing::Values(Change{"OfCalls", replace_calls}, Change{"ToTheSameMemory", share_again},
                    Change{"ToMemoryInTwoParts",
                           [](Guest& guest) {
                               share_in_two_parts(guest);
                               share_again(guest);
                           }},
                    Change{"ToMoreMemory", plug_memory},
                    Change{"OfTheMemoryInUse", take_memory_away_for_a_moment},
                    Change{"OfReceiveEnable",
                           [](Guest& guest) { disable_for_a_moment(guest, guest.receiver()); }},
                    Change{"OfTransmitEnable",
                           [](Guest& guest) {
                               guest.flush(); // What is sent while disabled is meant to be lost.
                               disable_for_a_moment(guest, guest.transmitter());
                           }},
                    Change{"OfReceiveBase", [](Guest& guest) { restart(guest, guest.receiver()); }},
                    Change{"OfTransmitBase",
                           [](Guest& guest) { restart(guest, guest.transmitter()); }},
                    Change{"OfBothBases",
                           [](Guest& guest) {
                               restart(guest, guest.transmitter());
                               restart(guest, guest.receiver());
                           }}),
    [](const auto& test) { return test.param.name; });

class Reconfiguration : public testing::Test {
protected:
    PumpLab lab_;
};

TEST_F(Reconfiguration, BaseIsTheNextChainToTake) {
    Guest guest = lab_.connect();
    for (uint32_t number = 0; number < 5; ++number) {
        guest.send(with_header(frame_to_wire(number), PumpLab::header_bytes));
    }
    guest.flush();
    EXPECT_EQ(guest.front_end().stop_ring(1), 5);
    EXPECT_EQ(guest.front_end().stop_ring(0), 0)
        << "no frame came, so all chains are still to take";
}

TEST_F(Reconfiguration, AStoppedRingTakesNothing) {
    Guest guest = lab_.connect();
    const uint32_t base = guest.front_end().stop_ring(1);
    guest.send(with_header(frame_to_wire(1), PumpLab::header_bytes));
    lab_.station().send(with_header(frame_to_guest(1), Station::header_bytes));
    expect_frames_to_guest(guest, 1, 1);
    EXPECT_FALSE(lab_.station().receive(0ms));
    guest.transmitter().events = guest.front_end().start_ring(1, *guest.transmitter().ring, base);
    expect_frames_to_wire(lab_.station(), 1, 1);
}

TEST_F(Reconfiguration, RingsWithoutMemoryWaitForIt) {
    Guest guest = lab_.connect();
    expect_frames_pass(lab_.station(), guest);
    ASSERT_TRUE(guest.front_end().remove(guest.ram().region()));
    EXPECT_EQ(lab_.pump().wait_for("running").at("queue_pairs"), 1);
    EXPECT_EQ(lab_.pump().wait_for("running").at("queue_pairs"), 0);
    lab_.station().send(with_header(frame_to_guest(1), Station::header_bytes));
    guest.send(with_header(frame_to_wire(1), PumpLab::header_bytes));
    EXPECT_FALSE(lab_.station().receive(0ms));
    ASSERT_TRUE(guest.front_end().add(guest.ram().region(), guest.ram().fd()));
    expect_frames_to_guest(guest, 1, 1);
    expect_frames_to_wire(lab_.station(), 1, 1);
    EXPECT_TRUE(lab_.end().at("protocol_errors").empty());
}

TEST_F(Reconfiguration, ADisabledReceiveRingLetsFramesWait) {
    Guest guest = lab_.connect();
    guest.front_end().enable_ring(0, false);
    await(guest);
    for (uint32_t number = 0; number < 10; ++number) {
        lab_.station().send(with_header(frame_to_guest(number), Station::header_bytes));
    }
    guest.send(with_header(frame_to_wire(1), PumpLab::header_bytes));
    expect_frames_to_wire(lab_.station(), 1, 1);
    EXPECT_FALSE(guest.receive(0ms));
    guest.front_end().enable_ring(0, true);
    expect_frames_to_guest(guest, 0, 10);
}

TEST_F(Reconfiguration, ADisabledTransmitRingIsEmptiedAndCounted) {
    Guest guest = lab_.connect();
    guest.front_end().enable_ring(1, false);
    await(guest);
    for (uint32_t number = 0; number < 10; ++number) {
        guest.send(with_header(frame_to_wire(number), PumpLab::header_bytes));
    }
    guest.flush();
    guest.front_end().enable_ring(1, true);
    await(guest); // Else the next frame may come first, and is discarded, too.
    expect_frames_pass(lab_.station(), guest);
    EXPECT_EQ(lab_.end().at("guest_to_wire").at("dropped"), nlohmann::json({{"disabled", 10}}));
}

// As QEMU does when the guest reboots: rings begin anew, memory is not shared again.
TEST_F(Reconfiguration, AResetDeviceCanBeSetUpAgain) {
    Guest guest = lab_.connect();
    for (const bool by_status : {false, true}) {
        expect_frames_pass(lab_.station(), guest);
        if (by_status) {
            EXPECT_EQ(guest.front_end().acknowledged(Request::set_status, uint64_t{0}), 0);
        } else {
            guest.front_end().send(Request::reset_device);
        }
        const uint32_t frames = by_status ? 2 : 1; // Each way, so far.
        for (Guest::Lane* lane : {&guest.receiver(), &guest.transmitter()}) {
            EXPECT_EQ(guest.front_end().stop_ring(lane->index), by_status ? frames : 0);
            lane->events = guest.front_end().start_ring(lane->index, *lane->ring, frames);
            guest.front_end().enable_ring(lane->index, true);
        }
        await(guest);
    }
    expect_frames_pass(lab_.station(), guest);
}

// As QEMU does for a migration: SET_LOG_BASE, the feature, and the rings' flags, all under traffic.
TEST_F(Reconfiguration, PagesWrittenAreLoggedWhileThatIsAsked) {
    constexpr uint64_t page = 4096;
    const fakes::GuestRam log(page * 16, 0);
    const auto is_marked = [&](uint64_t address) {
        const uint64_t number = address / page;
        return (std::to_integer<unsigned>(log.at(0)[number / 8]) >> number % 8 & 1) != 0;
    };
    Guest guest = lab_.connect();
    guest.front_end().send(Request::set_protocol_features,
                           vhost::protocol_feature_reply_ack | vhost::protocol_feature_log_shmfd);
    guest.front_end().send(Request::set_log_base,
                           vhost::LogArea{.size = log.size(), .mmap_offset = 0}, {log.fd()});
    EXPECT_EQ(guest.front_end().receive_as<uint64_t>(), 0);
    const auto set_log = [&](bool enabled) {
        const uint64_t features = PumpLab::usual | bit(Feature::protocol_features) |
                                  (enabled ? bit(Feature::log_all) : 0);
        EXPECT_EQ(guest.front_end().acknowledged(Request::set_features, features), 0);
        for (Guest::Lane* lane : {&guest.receiver(), &guest.transmitter()}) {
            auto addresses = lane->ring->addresses(lane->index);
            addresses.flags = enabled ? vhost::vring_flag_log : 0;
            addresses.log = (lane->index + 1) * 100'000 * page; // Its own, and in the log.
            EXPECT_EQ(guest.front_end().acknowledged(Request::set_vring_addr, addresses), 0);
        }
    };
    expect_frames_pass(lab_.station(), guest);
    set_log(true);
    std::ranges::fill(log.at(0, log.size()), std::byte{0});
    expect_frames_pass(lab_.station(), guest);
    EXPECT_TRUE(is_marked(1 * 100'000 * page));
    EXPECT_TRUE(is_marked(2 * 100'000 * page));
    const auto frames_marked =
        std::ranges::count_if(log.at(0, guest.ram().size() / page / 8 + 3),
                              [](std::byte byte) { return byte != std::byte{0}; });
    EXPECT_EQ(frames_marked, 1) << "one page, or two neighbours, of the one frame received";
    set_log(false);
    std::ranges::fill(log.at(0, log.size()), std::byte{0});
    expect_frames_pass(lab_.station(), guest);
    EXPECT_TRUE(std::ranges::all_of(log.at(0, log.size()),
                                    [](std::byte byte) { return byte == std::byte{0}; }));
}

TEST_F(Reconfiguration, ResetOwnerDisablesTheRings) {
    Guest guest = lab_.connect();
    guest.front_end().send(Request::reset_owner);
    await(guest);
    guest.send(with_header(frame_to_wire(1), PumpLab::header_bytes));
    guest.flush();
    EXPECT_FALSE(lab_.station().receive(0ms));
    EXPECT_EQ(lab_.end().at("guest_to_wire").at("dropped"), nlohmann::json({{"disabled", 1}}));
}

} // namespace
} // namespace tapline::netns
