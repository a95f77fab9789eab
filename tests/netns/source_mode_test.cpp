// Mode source: `tapline allow` changes whose frames a guest gets, while it gets them.
#include "tests/netns/lab.h"
#include "tests/netns/program.h"
#include "tests/netns/tap_guest.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace tapline::netns {
namespace {

constexpr uint32_t burst = 256; // Fits into the queue of the guest.
constexpr Mac second_mac = {0x52, 0x54, 0, 0, 0, 3};
constexpr auto peer = "52:54:00:00:00:02";
constexpr auto second = "52:54:00:00:00:03";
constexpr auto third = "52:54:00:00:00:04";

class SourceMode : public testing::Test {
protected:
    SourceMode() {
        expect_done({"create", "--parent", "uplink", "--mode", "source", "--allow", peer});
        guest_.emplace("tl0");
    }

    static void expect_done(const std::vector<std::string>& arguments) {
        const Outcome outcome = outcome_of("backend/tapline", arguments);
        EXPECT_EQ(outcome.status, 0) << outcome.errors;
    }

    void send(const Mac& from, uint32_t number) {
        peer_.send(with_header(frame_between(guest_->mac(), from, number), Station::header_bytes));
    }

    // Before a later frame of the peer, which always passes.
    bool hears_second() {
        ++number_;
        send(second_mac, number_);
        send(peer_mac, 0);
        const auto frame = guest_->receive();
        const bool heard = frame && number_of(*frame) == number_;
        const auto last = heard ? guest_->receive() : frame;
        EXPECT_TRUE(last && number_of(*last) == 0) << "the peer is always heard";
        return heard;
    }

    Wire wire_;
    Station peer_{"peer0"};
    std::optional<TapGuest> guest_;
    uint32_t number_ = 0;
};

TEST_F(SourceMode, HearsWhoIsOnTheListFromThenOn) {
    EXPECT_FALSE(hears_second());
    expect_done({"allow", "add", "tl0", second});
    EXPECT_TRUE(hears_second());
    expect_done({"allow", "remove", "tl0", second});
    EXPECT_FALSE(hears_second());
    expect_done({"allow", "replace", "tl0", second, peer});
    EXPECT_TRUE(hears_second());
    expect_done({"allow", "replace", "tl0", peer, third});
    EXPECT_FALSE(hears_second());
}

TEST_F(SourceMode, LosesNoFrameOfWhoStaysWhileTheListIsReplaced) {
    std::atomic<bool> replacing = true;
    std::thread replacer([&] {
        for (int i = 0; i < 25; ++i) {
            expect_done({"allow", "replace", "tl0", peer, second});
            expect_done({"allow", "replace", "tl0", third, peer});
        }
        replacing = false;
    });
    bool lost = false;
    uint32_t sent = 0;
    while (replacing && !lost) {
        for (uint32_t i = 0; i < burst; ++i) {
            send(peer_mac, sent + i);
        }
        for (uint32_t i = 0; i < burst && !lost; ++i) {
            const auto frame = guest_->receive();
            lost = !frame || number_of(*frame) != sent + i;
        }
        sent += burst;
    }
    replacer.join();
    EXPECT_FALSE(lost) << "among the frames before " << sent;
    EXPECT_GT(sent, 1000U) << "too few to tell";
}

} // namespace
} // namespace tapline::netns
