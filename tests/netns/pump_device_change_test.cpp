// What happens to the device while frames pass: it goes down and comes back, its MTU changes, the
// kernel has no memory for a moment. Nothing stalls, and no frame that arrives is cut off.
#include "backend/tap_queue.h"
#include "tests/netns/frames.h"
#include "tests/netns/pump_lab.h"

#include <gtest/gtest.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <chrono>
#include <string>

namespace tapline::netns {
namespace {

using fakes::Guest;
using namespace std::chrono_literals;

Bytes to_wire(uint32_t number, size_t bytes = frame_bytes_min) {
    return with_header(frame_to_wire(number, bytes), PumpLab::header_bytes);
}

// Sends until the first arrives: carrier comes back some time after the link.
void expect_frames_again(Station& station, Guest& guest) {
    const auto until = std::chrono::steady_clock::now() + fakes::deadline;
    do {
        ASSERT_LT(std::chrono::steady_clock::now(), until) << "no frame passes any more";
        ASSERT_TRUE(guest.send(to_wire(77)));
        guest.flush();
    } while (!station.receive(20ms));
    while (station.receive(20ms)) {}
    expect_frames_pass(station, guest);
}

class Downs : public testing::TestWithParam<std::string> {
protected:
    PumpLab lab_;
    Guest guest_ = lab_.connect();
};

// A device that is down takes frames and throws them away: the guest is not held up.
TEST_P(Downs, StallNothingAndFramesPassOnceUpAgain) {
    for (uint32_t round = 0; round < 3; ++round) {
        expect_frames_pass(lab_.station(), guest_);
        run("ip link set " + GetParam() + " down");
        for (uint32_t number = 0; number < 300; ++number) {
            if (!guest_.send(to_wire(number))) {
                guest_.flush();
                ASSERT_TRUE(guest_.send(to_wire(number)));
            }
        }
        guest_.flush();
        EXPECT_FALSE(guest_.receive(0ms));
        run("ip link set " + GetParam() + " up");
        ASSERT_NO_FATAL_FAILURE(expect_frames_again(lab_.station(), guest_));
    }
    (void)lab_.end();
}

INSTANTIATE_TEST_SUITE_P(OfLinks, Downs, testing::Values("uplink", "tl0"),
                         [](const auto& test) { return test.param; });

class Mtu : public testing::Test {
protected:
    static void set(unsigned mtu) {
        const std::string size = " mtu " + std::to_string(mtu);
        run("ip link set peer0" + size + " && ip link set uplink" + size);
        run("ip link set tl0" + size);
    }

    void expect_both_ways(uint32_t number, size_t bytes) {
        lab_.station().send(with_header(frame_to_guest(number, bytes), Station::header_bytes));
        expect_frames_to_guest(guest_, number, 1);
        ASSERT_TRUE(guest_.send(to_wire(number, bytes)));
        expect_frames_to_wire(lab_.station(), number, 1);
    }

    PumpLab lab_;
    Guest guest_ = lab_.connect();
};

TEST_F(Mtu, MayChangeAtAnyTimeAndNoFrameIsCutOff) {
    constexpr size_t header = 14;
    uint32_t number = 0;
    for (const unsigned mtu : {9000, 1500, 65535 - 14, 576, 9000, 1280}) {
        set(mtu);
        for (const size_t bytes : {frame_bytes_min, header + mtu / 2, header + mtu}) {
            ASSERT_NO_FATAL_FAILURE(expect_both_ways(++number, bytes)) << mtu;
        }
    }
    const auto counters = lab_.end();
    EXPECT_TRUE(counters.at("guest_to_wire").at("dropped").empty()) << counters;
    EXPECT_TRUE(counters.at("wire_to_guest").at("dropped").empty()) << counters;
}

// A frame over the MTU is the kernel's to drop; whether it arrives or not, it is not cut off.
TEST_F(Mtu, DropsWhatIsLongerAndTheNextFramePasses) {
    set(1280);
    ASSERT_TRUE(guest_.send(to_wire(1, 1514)));
    ASSERT_TRUE(guest_.send(to_wire(2, 1280)));
    auto received = lab_.station().receive(fakes::deadline);
    ASSERT_TRUE(received);
    if (without_header(*received, Station::header_bytes) == frame_to_wire(1, 1514)) {
        received = lab_.station().receive(fakes::deadline);
        ASSERT_TRUE(received);
    }
    EXPECT_EQ(without_header(*received, Station::header_bytes), frame_to_wire(2, 1280));
    expect_frames_pass(lab_.station(), guest_);
    (void)lab_.end();
}

// The limit that pumps lift is put back by another holder of the queue, and the uplink is slow: so
// the kernel has room for a few frames only.
TEST(BusyTap, DropsAndCountsFramesAndTakesLaterOnes) {
    const Wire wire;
    Station station("peer0");
    run("ip link add link uplink name tl0 address 52:54:00:00:00:01 type macvtap mode bridge");
    run("ip link set tl0 up");
    Netlink netlink = Netlink::open();
    const auto queues = open_queues(find_macvtap(netlink, "tl0"), 1);
    const int fd = queues.front().fd();
    Program pump("iouring/tapline-pump",
                 {"--socket-path", test_socket(), "--json-status", "--tap-fds", std::to_string(fd)},
                 {fd});
    pump.wait_for("listening");
    Guest guest(fakes::FrontEnd::connect(test_socket()), {.features = PumpLab::usual});
    expect_frames_pass(station, guest);

    run("tc qdisc add dev uplink root tbf rate 1mbit burst 5kb limit 10mb");
    const int few_frames = 20000;
    ASSERT_EQ(ioctl(fd, TUNSETSNDBUF, &few_frames), 0);
    constexpr uint32_t sent = 60;
    for (uint32_t number = 0; number < sent; ++number) {
        ASSERT_TRUE(guest.send(to_wire(number, 1514)));
    }
    guest.flush();
    run("tc qdisc change dev uplink root tbf rate 1gbit burst 50kb limit 10mb");
    uint32_t arrived = 0;
    uint32_t next = 0;
    while (const auto received = station.receive(arrived == 0 ? fakes::deadline : 500ms)) {
        const uint32_t number = number_of(without_header(*received, Station::header_bytes));
        ASSERT_GE(number, next) << "out of order, or twice";
        next = number + 1;
        ++arrived;
    }
    expect_frames_pass(station, guest);
    pump.signal(SIGTERM);
    const auto counters = pump.wait_for("stopped").at("counters").at("guest_to_wire");
    EXPECT_EQ(pump.wait(), 0) << pump.errors();
    EXPECT_GT(arrived, 0);
    EXPECT_GT(counters.at("dropped").at("tap_busy"), 0);
    EXPECT_EQ(counters.at("dropped").at("tap_busy"), sent - arrived) << counters;
    EXPECT_EQ(counters.at("frames"), arrived + 2);
}

} // namespace
} // namespace tapline::netns
