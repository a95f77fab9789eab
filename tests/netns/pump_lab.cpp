#include "tests/netns/pump_lab.h"

#include "tests/netns/frames.h"

#include <gtest/gtest.h>

#include <utility>

namespace tapline::netns {
namespace {

using namespace std::chrono_literals;

std::vector<std::string> arguments_of(const std::string& socket, const PumpLab::Options& options) {
    std::vector<std::string> all = {"--socket-path", socket,  "--parent",
                                    "uplink",        "--mac", "52:54:00:00:00:01",
                                    "--json-status"};
    all.insert(all.end(), options.arguments.begin(), options.arguments.end());
    return all;
}

} // namespace

PumpLab::PumpLab(const Options& options)
    : wire_(options.mtu), pump_("iouring/tapline-pump", arguments_of(socket_, options)) {
    pump_.wait_for("listening");
}

fakes::Guest PumpLab::connect(const fakes::Guest::Options& options) const {
    return {fakes::FrontEnd::connect(socket_), options};
}

nlohmann::json PumpLab::session_end() {
    return pump_.wait_for("disconnected").at("counters");
}

nlohmann::json PumpLab::end(int signal) {
    pump_.signal(signal);
    auto counters = pump_.wait_for("stopped").at("counters");
    EXPECT_EQ(pump_.wait(), 0) << pump_.errors();
    return counters;
}

void expect_frames_to_guest(fakes::Guest& guest, uint32_t first, uint32_t count) {
    for (uint32_t number = first; number < first + count; ++number) {
        const auto received = guest.receive();
        ASSERT_TRUE(received) << "frame " << number << " to the guest is lost";
        const Bytes frame = without_header(*received, PumpLab::header_bytes);
        ASSERT_EQ(number_of(frame), number);
        ASSERT_EQ(frame, frame_to_guest(number, frame.size()));
    }
}

void expect_frames_to_wire(Station& station, uint32_t first, uint32_t count) {
    for (uint32_t number = first; number < first + count; ++number) {
        const auto received = station.receive(fakes::deadline);
        ASSERT_TRUE(received) << "frame " << number << " to the wire is lost";
        const Bytes frame = without_header(*received, Station::header_bytes);
        ASSERT_EQ(number_of(frame), number);
        ASSERT_EQ(frame, frame_to_wire(number, frame.size()));
    }
}

void expect_frames_pass(Station& station, fakes::Guest& guest) {
    static uint32_t number = 1'000'000; // Of no other frame.
    const uint32_t mine = number++;
    station.send(with_header(frame_to_guest(mine), Station::header_bytes));
    expect_frames_to_guest(guest, mine, 1);
    EXPECT_TRUE(guest.send(with_header(frame_to_wire(mine), PumpLab::header_bytes)));
    expect_frames_to_wire(station, mine, 1);
    EXPECT_FALSE(guest.receive(0ms));
    EXPECT_FALSE(station.receive(0ms));
}

} // namespace tapline::netns
