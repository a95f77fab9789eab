// Nothing to do, more than can be done, and several queues to do it with.
#include "tests/netns/frames.h"
#include "tests/netns/packets.h"
#include "tests/netns/pump_lab.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

namespace tapline::netns {
namespace {

using fakes::Guest;
using vhost::Feature;
using vhost::Request;
using namespace std::chrono_literals;

// What a process has done so far: its wake-ups and its time on a CPU, over all threads.
struct Activity {
    uint64_t voluntary_switches = 0;
    uint64_t ticks = 0;
    bool operator==(const Activity&) const = default;
};

Activity activity_of(pid_t pid) {
    Activity all;
    for (const auto& task :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
        std::ifstream status(task.path() / "status");
        for (std::string word; status >> word;) {
            if (word == "voluntary_ctxt_switches:") {
                uint64_t count = 0;
                status >> count;
                all.voluntary_switches += count;
            }
        }
        std::ifstream stat(task.path() / "stat");
        std::string text;
        std::getline(stat, text, ')'); // The name may hold blanks.
        for (int field = 3; field < 14; ++field) {
            stat >> text;
        }
        uint64_t user = 0;
        uint64_t system = 0;
        stat >> user >> system;
        all.ticks += user + system;
    }
    return all;
}

// Whether the programs never rest, as a thread of ThreadSanitizer's looks around all the time.
const bool restless = programs_are_of("tsan");

// Whether within the deadline there is a long moment in which the process does nothing at all.
bool comes_to_rest(pid_t pid) {
    constexpr auto moment = 400ms;
    const UniqueFd never = fakes::make_eventfd();
    const auto until = std::chrono::steady_clock::now() + fakes::deadline;
    while (!restless && std::chrono::steady_clock::now() < until) {
        const Activity before = activity_of(pid);
        fakes::wait_readable(never.get(), moment);
        if (activity_of(pid) == before) {
            return true;
        }
    }
    return restless; // Where nothing can be told of it, the rest of the test still counts.
}

class Load : public testing::Test {
protected:
    void send_to_guest(uint32_t first, uint32_t count) {
        for (uint32_t number = first; number < first + count; ++number) {
            lab_.station().send(with_header(frame_to_guest(number), Station::header_bytes));
        }
    }

    PumpLab lab_;
};

using NoLoad = Load;

TEST_F(NoLoad, WithoutGuest) {
    EXPECT_TRUE(comes_to_rest(lab_.pump().pid()));
    send_to_guest(0, 10);
    EXPECT_TRUE(comes_to_rest(lab_.pump().pid()));
}

TEST_F(NoLoad, WithAGuestThatHasNothingToDo) {
    Guest guest = lab_.connect();
    for (int i = 0; i < 3; ++i) {
        expect_frames_pass(lab_.station(), guest);
        EXPECT_TRUE(comes_to_rest(lab_.pump().pid()));
    }
}

TEST_F(NoLoad, WhileFramesWaitForAGuestWithoutBuffers) {
    Guest guest = lab_.connect({.features = PumpLab::usual, .receive_buffers = 4});
    send_to_guest(0, 20);
    EXPECT_TRUE(comes_to_rest(lab_.pump().pid()));
    expect_frames_to_guest(guest, 0, 20);
}

TEST_F(NoLoad, WithABrokenRing) {
    Guest guest = lab_.connect();
    guest.transmitter().split().add_head(guest.transmitter().ring->size());
    guest.kick(guest.transmitter());
    ASSERT_TRUE(fakes::wait_readable(guest.transmitter().events.error.get()));
    guest.transmitter().split().add_head(0); // Its driver knows nothing of it yet.
    guest.kick(guest.transmitter());
    EXPECT_TRUE(comes_to_rest(lab_.pump().pid()));
}

TEST_F(NoLoad, OnADisabledRing) {
    Guest guest = lab_.connect();
    guest.front_end().enable_ring(0, false);
    guest.front_end().ask(Request::get_features);
    send_to_guest(0, 20);
    EXPECT_TRUE(comes_to_rest(lab_.pump().pid()));
}

TEST_F(Load, OverTheGuestsCapacityLosesOnlyWhatTheKernelCounts) {
    Guest guest = lab_.connect();
    constexpr uint32_t sent = 5000; // The ring takes 256, the tap queue 1024.
    send_to_guest(0, sent);
    uint32_t received = 0;
    uint32_t next = 0;
    while (const auto frame = guest.receive(received < 256 ? fakes::deadline : 500ms)) {
        const uint32_t number = number_of(without_header(*frame, PumpLab::header_bytes));
        ASSERT_GE(number, next) << "out of order, or twice";
        ASSERT_EQ(without_header(*frame, PumpLab::header_bytes), frame_to_guest(number));
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
    expect_frames_pass(lab_.station(), guest);
    EXPECT_TRUE(lab_.end().at("wire_to_guest").at("dropped").empty());
}

// So far over its rate that what is owed takes longer than the moment.
TEST(LimitedLoad, RestsUntilItsRateAllowsMore) {
    PumpLab lab({.arguments = {"--limit-guest-to-wire", "1kbit,burst=1b", "--limit-wire-to-guest",
                               "1kbit,burst=1b"}});
    Guest guest = lab.connect();
    for (uint32_t number = 0; number < 10; ++number) {
        lab.station().send(with_header(frame_to_guest(number, 1514), Station::header_bytes));
        guest.send(with_header(frame_to_wire(number, 1514), PumpLab::header_bytes));
    }
    expect_frames_to_guest(guest, 0, 1);
    expect_frames_to_wire(lab.station(), 0, 1);
    EXPECT_TRUE(comes_to_rest(lab.pump().pid()));
    EXPECT_FALSE(guest.receive(0ms));
    EXPECT_FALSE(lab.station().receive(0ms));
    (void)lab.end();
}

class QueuePairs : public testing::Test {
protected:
    static constexpr uint16_t flows = 32;

    // One datagram of each flow, which the flow's hash sends to one of the queues.
    void send_flows(uint32_t round) {
        for (uint16_t flow = 0; flow < flows; ++flow) {
            const Packet packet{.transport = Transport::udp,
                                .source_port = static_cast<uint16_t>(1000 + flow),
                                .payload = Bytes(32, static_cast<std::byte>(round))};
            lab_.station().send(with_header(packet.frame(), Station::header_bytes));
        }
    }

    using Ports = std::set<uint16_t>;

    // The flows that came over a pair; each may come once.
    Ports take(uint32_t round, uint16_t pair, std::chrono::milliseconds limit) {
        Ports ports;
        while (const auto frame = guest_.receive(limit, pair)) {
            const Packet packet = Offloaded::from(*frame, PumpLab::header_bytes).packet();
            EXPECT_EQ(packet.payload.front(), static_cast<std::byte>(round));
            EXPECT_TRUE(ports.insert(packet.source_port).second) << "a datagram came twice";
        }
        return ports;
    }

    // Until all have come, over whichever pair.
    std::array<Ports, 2> take_all(uint32_t round) {
        std::array<Ports, 2> all;
        const auto until = std::chrono::steady_clock::now() + fakes::deadline;
        while (all[0].size() + all[1].size() < flows && std::chrono::steady_clock::now() < until) {
            for (uint16_t pair = 0; pair < 2; ++pair) {
                all[pair].merge(take(round, pair, 1ms));
            }
        }
        return all;
    }

    PumpLab lab_{{.arguments = {"--queues", "2"}}};
    Guest guest_ = lab_.connect({.features = PumpLab::usual | bit(Feature::mq), .queue_pairs = 2});
};

TEST_F(QueuePairs, ShareTheFlows) {
    std::array<Ports, 2> first;
    for (uint32_t round = 0; round < 20; ++round) {
        send_flows(round);
        const auto ports = take_all(round);
        ASSERT_EQ(ports[0].size() + ports[1].size(), flows);
        EXPECT_FALSE(ports[0].empty());
        EXPECT_FALSE(ports[1].empty());
        if (round == 0) {
            first = ports;
        }
        EXPECT_EQ(ports, first) << "a flow changed its queue";
    }
}

TEST_F(QueuePairs, SendOverBoth) {
    for (uint32_t number = 0; number < 20; ++number) {
        const auto pair = static_cast<uint16_t>(number % 2);
        guest_.send(with_header(frame_to_wire(number), PumpLab::header_bytes), {}, pair);
        expect_frames_to_wire(lab_.station(), number, 1);
    }
    EXPECT_EQ(lab_.end().at("guest_to_wire").at("frames"), 20);
}

TEST_F(QueuePairs, LoseNothingOnceTheSecondIsDisabled) {
    for (uint32_t round = 0; round < 10; ++round) {
        for (const uint32_t ring : {2, 3}) {
            guest_.front_end().enable_ring(ring, false);
        }
        guest_.front_end().ask(Request::get_features);
        send_flows(round);
        const auto alone = take_all(round);
        ASSERT_EQ(alone[0].size(), flows);
        EXPECT_TRUE(alone[1].empty());
        for (const uint32_t ring : {2, 3}) {
            guest_.front_end().enable_ring(ring, true);
        }
        guest_.front_end().ask(Request::get_features);
        send_flows(round);
        const auto both = take_all(round);
        ASSERT_EQ(both[0].size() + both[1].size(), flows);
        EXPECT_FALSE(both[1].empty());
    }
}

// As long as the driver has not asked for more, only the first pair is in use.
TEST_F(QueuePairs, OfAGuestWithOneGetEverythingOverIt) {
    guest_.front_end().close();
    lab_.session_end();
    Guest single = lab_.connect();
    send_flows(7);
    Ports ports;
    while (ports.size() < flows) {
        const auto frame = single.receive();
        ASSERT_TRUE(frame);
        const Packet packet = Offloaded::from(*frame, PumpLab::header_bytes).packet();
        EXPECT_TRUE(ports.insert(packet.source_port).second);
    }
}

} // namespace
} // namespace tapline::netns
