// A pump process on a private wire, with a station at the other end: what most pump tests need.
#pragma once

#include "tests/fakes/guest.h"
#include "tests/netns/lab.h"
#include "tests/netns/program.h"
#include "vhost/features.h"

#include <nlohmann/json.hpp>

#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

namespace tapline::netns {

class PumpLab {
public:
    static constexpr uint64_t plain = vhost::bits(vhost::Feature::version_1);
    static constexpr uint64_t usual =
        plain | vhost::bits(vhost::Feature::mrg_rxbuf, vhost::Feature::event_idx,
                            vhost::Feature::indirect_desc);
    static constexpr size_t header_bytes = 12; // Of a guest with version 1.

    struct Options {
        unsigned mtu = 1500;                     // Of the wire.
        std::vector<std::string> arguments = {}; // Of the pump, besides those all tests need.
    };

    PumpLab() : PumpLab(Options()) {}
    explicit PumpLab(const Options& options); // Returns once the pump listens.

    Program& pump() { return pump_; }
    Station& station() { return station_; }
    const std::string& socket() const { return socket_; }

    fakes::Guest connect(const fakes::Guest::Options& options = {.features = usual}) const;
    // The counters at the end of the session that ends next.
    nlohmann::json session_end();
    // Ends the pump by a signal, checks that it went well and returns its last counters.
    nlohmann::json end(int signal = SIGTERM);

private:
    std::string socket_ = test_socket();
    Wire wire_;
    Station station_{"peer0"};
    Program pump_;
};

// A frame each way, each awaited, intact and alone. The guest has version 1.
void expect_frames_pass(Station& station, fakes::Guest& guest);

// Each arrives with its bytes, as the next one. Stops at the first that does not.
void expect_frames_to_guest(fakes::Guest& guest, uint32_t first, uint32_t count);
void expect_frames_to_wire(Station& station, uint32_t first, uint32_t count);

} // namespace tapline::netns
