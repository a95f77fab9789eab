#include "iouring/queue_pair.h"

#include "backend/base/error.h"
#include "tests/fakes/guest.h"
#include "tests/fakes/wire.h"
#include "tests/unit/eventually.h"
#include "tests/unit/queue_pair_host.h"
#include "tests/unit/test_frame.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace tapline {
namespace {

using vhost::bits;
using vhost::Feature;
using vhost::RingFault;

constexpr uint64_t base_features =
    bits(Feature::version_1, Feature::mrg_rxbuf, Feature::indirect_desc);

// A guest and a wire with a worker between them.
struct Station {
    explicit Station(const fakes::Guest::Options& options)
        : host(wire.tap_fd(), base_features | bit(Feature::event_idx)),
          guest(host.front_end(), options) {}

    const Counter& frames(Direction direction) const { return host.counters(direction).frames; }
    uint64_t dropped(Direction direction, Drop why) const {
        return host.counters(direction).drops[static_cast<size_t>(why)].value();
    }
    uint64_t faults(Direction direction, RingFault fault) const {
        return host.counters(direction).faults[static_cast<size_t>(fault)].value();
    }

    void send_from_guest(uint32_t number, size_t bytes) {
        while (!guest.send(test_frame(number, bytes))) {
            guest.flush();
        }
    }
    void expect_on_wire(uint32_t number, size_t bytes) {
        const auto frame = wire.receive();
        ASSERT_TRUE(frame) << "frame " << number << " did not reach the wire";
        ASSERT_TRUE(*frame == test_frame(number, bytes)) << "frame " << number << " came changed";
    }
    void expect_at_guest(uint32_t number, size_t bytes, uint16_t buffers = 1) {
        const auto frame = guest.receive();
        ASSERT_TRUE(frame) << "frame " << number << " did not reach the guest";
        ASSERT_TRUE(*frame == in_buffers(test_frame(number, bytes), buffers))
            << "frame " << number << " came changed";
    }

    fakes::Wire wire;
    QueuePairHost host;
    fakes::Guest guest; // Closes first: the host waits for that.
};

class QueuePairTest : public testing::TestWithParam<uint64_t> {
protected:
    Station station_{{.features = base_features | GetParam()}};
};

TEST_P(QueuePairTest, FramesOfTheGuestReachTheWireInOrder) {
    for (uint32_t i = 0; i < 500; ++i) {
        station_.send_from_guest(i, 60 + i);
        station_.expect_on_wire(i, 60 + i);
    }
    station_.guest.flush();
    EXPECT_EQ(station_.frames(Direction::guest_to_wire).value(), 500u);
}

TEST_P(QueuePairTest, BurstsOfTheGuestReachTheWireInOrder) {
    for (uint32_t burst = 0; burst < 20; ++burst) {
        for (uint32_t i = 0; i < 40; ++i) {
            station_.send_from_guest(40 * burst + i, 1000);
        }
        for (uint32_t i = 0; i < 40; ++i) {
            station_.expect_on_wire(40 * burst + i, 1000);
        }
    }
}

TEST_P(QueuePairTest, FramesFromTheWireReachTheGuestInOrder) {
    for (uint32_t i = 0; i < 500; ++i) {
        station_.wire.send(test_frame(i, 60 + i));
    }
    for (uint32_t i = 0; i < 500; ++i) {
        station_.expect_at_guest(i, 60 + i);
    }
    EXPECT_EQ(station_.frames(Direction::wire_to_guest).value(), 500u);
}

TEST_P(QueuePairTest, LargeAndSmallFramesReachTheGuestInOrder) {
    for (uint32_t i = 0; i < 200; ++i) {
        const size_t bytes = i % 3 == 0 ? 60000 : 200;
        station_.wire.send(test_frame(i, bytes));
        station_.expect_at_guest(i, bytes, i % 3 == 0 ? 40 : 1);
    }
}

TEST_P(QueuePairTest, BothDirectionsRunAtTheSameTime) {
    for (uint32_t i = 0; i < 300; ++i) {
        station_.wire.send(test_frame(i, 900));
        station_.send_from_guest(1000 + i, 700);
        station_.expect_at_guest(i, 900);
        station_.expect_on_wire(1000 + i, 700);
    }
}

// GET_VRING_BASE tells where the next start goes on: nothing twice, nothing missing.
TEST_P(QueuePairTest, RestartLosesAndRepeatsNothing) {
    for (uint32_t round = 0; round < 10; ++round) {
        for (uint32_t i = 0; i < 20; ++i) {
            station_.wire.send(test_frame(20 * round + i, 1000));
            station_.send_from_guest(5000 + 20 * round + i, 500);
        }
        for (const uint16_t ring : {uint16_t{0}, uint16_t{1}}) { // In the middle of it all.
            fakes::FrontEnd& front_end = station_.guest.front_end();
            auto& lane = ring == 0 ? station_.guest.receiver() : station_.guest.transmitter();
            const uint32_t base = front_end.stop_ring(ring);
            lane.events = front_end.start_ring(ring, *lane.ring, base);
        }
        for (uint32_t i = 0; i < 20; ++i) {
            station_.expect_at_guest(20 * round + i, 1000);
            station_.expect_on_wire(5000 + 20 * round + i, 500);
        }
    }
    station_.guest.flush();
    EXPECT_EQ(station_.frames(Direction::wire_to_guest).value(), 200u);
    EXPECT_EQ(station_.frames(Direction::guest_to_wire).value(), 200u);
    EXPECT_FALSE(station_.guest.receive(std::chrono::milliseconds::zero()));
    EXPECT_FALSE(station_.wire.receive(std::chrono::milliseconds::zero()));
}

TEST_P(QueuePairTest, BrokenTransmitRingLeavesTheOtherRunning) {
    auto& lane = station_.guest.transmitter();
    lane.split().add_head(lane.ring->size());
    station_.guest.kick(lane);
    EXPECT_TRUE(fakes::wait_readable(station_.host.attention()));
    EXPECT_EQ(station_.faults(Direction::guest_to_wire, RingFault::head_out_of_range), 1u);
    for (uint32_t i = 0; i < 100; ++i) {
        station_.wire.send(test_frame(i, 1000));
        station_.expect_at_guest(i, 1000);
    }
    EXPECT_EQ(station_.faults(Direction::guest_to_wire, RingFault::head_out_of_range), 1u);
}

TEST_P(QueuePairTest, BrokenReceiveRingLeavesTheOtherRunning) {
    auto& lane = station_.guest.receiver();
    lane.split().set_available_index(static_cast<uint16_t>(lane.split().available_index() + 1000));
    station_.guest.kick(lane);
    station_.wire.send(test_frame(1, 100)); // Now the worker looks at the ring.
    EXPECT_TRUE(fakes::wait_readable(station_.host.attention()));
    EXPECT_EQ(station_.faults(Direction::wire_to_guest, RingFault::available_index), 1u);
    for (uint32_t i = 0; i < 100; ++i) {
        station_.send_from_guest(i, 1000);
        station_.expect_on_wire(i, 1000);
    }
}

TEST_P(QueuePairTest, DisabledTransmitRingIsEmptied) {
    station_.guest.front_end().enable_ring(1, false);
    station_.guest.front_end().ask(vhost::Request::get_features); // An answer: it is done.
    station_.send_from_guest(1, 1000);
    station_.guest.flush();
    EXPECT_EQ(station_.dropped(Direction::guest_to_wire, Drop::disabled), 1u);
    station_.guest.front_end().enable_ring(1, true);
    station_.guest.front_end().ask(vhost::Request::get_features);
    station_.send_from_guest(2, 1000);
    station_.expect_on_wire(2, 1000);
}

TEST_P(QueuePairTest, FramesForADisabledReceiveRingWaitInTheTap) {
    station_.guest.front_end().enable_ring(0, false);
    station_.guest.front_end().ask(vhost::Request::get_features);
    station_.wire.send(test_frame(1, 1000));
    station_.send_from_guest(2, 1000); // The worker has been awake since.
    station_.expect_on_wire(2, 1000);
    EXPECT_EQ(station_.frames(Direction::wire_to_guest).value(), 0u);
    station_.guest.front_end().enable_ring(0, true);
    station_.expect_at_guest(1, 1000);
}

// A guest that waits for them would wait for ever.
TEST_P(QueuePairTest, ReceiveChainsThatHoldNoFrameGoBackAtOnce) {
    Station station({.features = base_features | GetParam(), .receive_buffers = 0});
    auto& lane = station.guest.receiver();
    const fakes::Buffer useless{
        .address = station.guest.ram().allocate(100), .length = 100, .writable = false};
    const auto head = lane.ring->add(std::span(&useless, 1));
    station.guest.kick(lane);
    station.wire.send(test_frame(1, 100)); // Now the worker looks for buffers.
    std::optional<fakes::Used> used;
    EXPECT_TRUE(eventually([&] { return (used = lane.ring->next_used()).has_value(); }));
    ASSERT_TRUE(used);
    EXPECT_EQ(used->id, head);
    EXPECT_EQ(station.dropped(Direction::wire_to_guest, Drop::no_room_for_header), 1u);
}

// The state of each thread but this one, from proc_pid_stat(5).
std::string other_threads_states() {
    std::string states;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        if (task.path().filename() == std::to_string(gettid())) {
            continue;
        }
        std::string line;
        std::getline(std::ifstream(task.path() / "stat"), line);
        const size_t name_end = line.rfind(')');
        states += name_end == std::string::npos ? '?' : line.at(name_end + 2);
    }
    return states;
}

bool others_sleep() {
    return eventually(
        [] { return other_threads_states().find_first_not_of('S') == std::string::npos; });
}

TEST_P(QueuePairTest, IdleWorkerSleeps) {
    station_.send_from_guest(1, 1000);
    station_.expect_on_wire(1, 1000);
    station_.wire.send(test_frame(2, 1000));
    station_.expect_at_guest(2, 1000);
    EXPECT_TRUE(others_sleep()) << other_threads_states();
}

TEST_P(QueuePairTest, WorkerWithABrokenRingSleepsWhateverTheGuestAdds) {
    auto& lane = station_.guest.transmitter();
    lane.split().add_head(lane.ring->size());
    station_.guest.kick(lane);
    ASSERT_TRUE(fakes::wait_readable(station_.host.attention()));
    lane.split().add_head(0);
    station_.guest.kick(lane);
    station_.wire.send(test_frame(1, 1000)); // The worker has been awake since.
    station_.expect_at_guest(1, 1000);
    EXPECT_TRUE(others_sleep()) << other_threads_states();
}

TEST_P(QueuePairTest, WorkerWithoutReceiveBuffersSleepsWithAFrameWaiting) {
    Station hungry({.features = base_features | GetParam(), .receive_buffers = 0});
    hungry.wire.send(test_frame(1, 1000));
    hungry.send_from_guest(2, 1000);
    hungry.expect_on_wire(2, 1000);
    EXPECT_TRUE(others_sleep()) << other_threads_states();
    EXPECT_EQ(hungry.frames(Direction::wire_to_guest).value(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Both, QueuePairTest, testing::Values(0, bit(Feature::event_idx)),
                         [](const auto& choice) {
                             return choice.param == 0 ? "Flags" : "EventIndices";
                         });

TEST(QueuePair, GuestWithOneSmallBufferAtATimeGetsEveryFrame) {
    Station station({.features = base_features, .receive_buffers = 1});
    for (uint32_t i = 0; i < 100; ++i) {
        station.wire.send(test_frame(i, 1000));
    }
    for (uint32_t i = 0; i < 100; ++i) {
        station.expect_at_guest(i, 1000);
    }
}

// A write to it goes through a thread of the kernel's, and a worker that ends takes that with it.
TEST(QueuePair, CallThroughABlockingDescriptorOutlivesTheWorker) {
    Station station({.features = base_features | bit(Feature::event_idx)});
    const auto& lane = station.guest.receiver();
    const int call = lane.events.call.get();
    ASSERT_EQ(fcntl(call, F_SETFL, 0), 0);
    for (uint32_t i = 0; i < 300; ++i) {
        station.wire.send(test_frame(i, 1000));
        station.guest.front_end().enable_ring(0, true);
        ASSERT_TRUE(!lane.ring->enable_calls() || fakes::wait_readable(call)) << "frame " << i;
        ASSERT_NO_FATAL_FAILURE(station.expect_at_guest(i, 1000));
    }
}

TEST(QueuePair, CallThatBlocksForEverKeepsNoWorkerFromStopping) {
    Station station({.features = base_features | bit(Feature::event_idx)});
    const int call = station.guest.receiver().events.call.get();
    ASSERT_EQ(fcntl(call, F_SETFL, 0), 0);
    ASSERT_EQ(eventfd_write(call, UINT64_MAX - 1), 0); // As much as it holds.
    station.wire.send(test_frame(1, 1000));
    EXPECT_TRUE(eventually([&] { return station.frames(Direction::wire_to_guest).value() == 1; }));
    station.guest.front_end().enable_ring(0, true);
    EXPECT_TRUE(station.guest.front_end().ask(vhost::Request::get_features));
    station.wire.send(test_frame(2, 1000));
    station.expect_at_guest(1, 1000);
    station.expect_at_guest(2, 1000);
}

// Together the frames wait far longer than one may: each has its own time.
TEST(QueuePair, GuestThatIsSlowGetsEveryFrame) {
    constexpr uint32_t frames = 40;
    constexpr size_t bytes = 60000;
    Station station({.features = base_features | bit(Feature::event_idx), .receive_buffers = 64});
    std::thread sender([&station] {
        for (uint32_t i = 0; i < frames; ++i) {
            station.wire.send(test_frame(i, bytes));
        }
    });
    const UniqueFd never = fakes::make_eventfd();
    for (uint32_t i = 0; i < frames; ++i) {
        EXPECT_FALSE(fakes::wait_readable(never.get(), std::chrono::milliseconds(20)));
        station.expect_at_guest(i, bytes, 40);
    }
    sender.join();
    EXPECT_EQ(station.dropped(Direction::wire_to_guest, Drop::too_big_for_guest), 0u);
}

TEST(QueuePair, FrameTheGuestHasNoBuffersForDoesNotStopLaterOnes) {
    Station station({.features = base_features, .receive_buffers = 2});
    station.wire.send(test_frame(1, 10000));
    station.wire.send(test_frame(2, 1000));
    station.expect_at_guest(2, 1000);
    EXPECT_EQ(station.dropped(Direction::wire_to_guest, Drop::too_big_for_guest), 1u);
}

TEST(QueuePair, GuestThatTakesNoMergedBuffersGetsWhatFits) {
    Station station({.features = bit(Feature::version_1), .receive_buffer_bytes = 2000});
    station.wire.send(test_frame(1, 2001));
    station.wire.send(test_frame(2, 2000));
    station.expect_at_guest(2, 2000);
    EXPECT_EQ(station.dropped(Direction::wire_to_guest, Drop::too_big_for_guest), 1u);
}

TEST(QueuePair, IndirectTablesMakeNoDifference) {
    Station station({.features = base_features, .layout = fakes::DriverRing::Layout::indirect});
    for (uint32_t i = 0; i < 50; ++i) {
        station.wire.send(test_frame(i, 5000));
        station.send_from_guest(i, 5000);
        station.expect_at_guest(i, 5000, 4);
        station.expect_on_wire(i, 5000);
    }
}

TEST(QueuePair, GuestThatGoesInTheMiddleOfTrafficIsStopped) {
    for (int round = 0; round < 5; ++round) {
        Station station({.features = base_features});
        for (uint32_t i = 0; i < 100; ++i) {
            station.wire.send(test_frame(i, 1000));
        }
        station.send_from_guest(1, 1000);
    } // The destructors wait for the worker.
}

TEST(QueuePair, StopOfAPairThatNeverRanReturnsNothing) {
    const fakes::Wire wire;
    const UniqueFd attention = fakes::make_eventfd();
    QueuePair pair(wire.tap_fd(), attention.get());
    EXPECT_FALSE(pair.running());
    const auto lanes = pair.stop();
    EXPECT_FALSE(lanes[0]);
    EXPECT_FALSE(lanes[1]);
}

// Where the plan has an IOMMU, the worker has the guest's memory by its table, too.
TEST(QueuePair, LetsGoOfTheMemoryOfAGuestThatIsStopped) {
    const fakes::Wire wire;
    const UniqueFd attention = fakes::make_eventfd();
    QueuePair pair(wire.tap_fd(), attention.get());
    auto table = vhost::Iotlb::make(nullptr);
    const std::weak_ptr<const vhost::Iotlb> watched = table;
    pair.start(
        {.format = {}, .fate = GuestToWire::Fate::send, .lanes = {}, .iotlb = std::move(table)});
    EXPECT_FALSE(watched.expired());
    (void)pair.stop();
    EXPECT_TRUE(watched.expired());
}

TEST(QueuePair, LetsGoOfTheMemoryOfAGuestThatCannotStart) {
    const UniqueFd attention = fakes::make_eventfd();
    const int no_tap = -2; // Refused by io_uring.
    QueuePair pair(no_tap, attention.get());
    auto table = vhost::Iotlb::make(nullptr);
    const std::weak_ptr<const vhost::Iotlb> watched = table;
    EXPECT_THROW(pair.start({.format = {},
                             .fate = GuestToWire::Fate::send,
                             .lanes = {},
                             .iotlb = std::move(table)}),
                 Error);
    EXPECT_TRUE(watched.expired());
}

} // namespace
} // namespace tapline
