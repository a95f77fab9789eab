// The tap queues of one guest NIC and the workers that serve them, driven by what a session says.
// Main thread only.
#pragma once

#include "backend/mac_address.h"
#include "backend/tap_queue.h"
#include "iouring/queue_pair.h"
#include "vhost/session.h"

#include <nlohmann/json_fwd.hpp>

#include <array>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tapline {

class Pump {
public:
    struct Policy {
        std::optional<PortSecurity::Rules> security;
        std::array<std::optional<RateLimit::Rates>, direction_count> limits; // By Direction.
    };

    // One tap queue a pair, and one express lane or none at all. Throws Error where the kernel
    // cannot run a worker.
    Pump(std::vector<TapQueue> taps, const Policy& policy,
         std::vector<std::unique_ptr<ExpressLane>> lanes);

    // What the device can do now: its MTU may change while it is there.
    vhost::Session::Offer offer() const;
    uint16_t queue_pairs() const { return static_cast<uint16_t>(pairs_.size()); }
    // Readable when a ring broke or lacks a translation: then call take_faults() and
    // take_misses().
    int attention() const { return attention_.get(); }

    // A session begins: what waits in the tap queues was meant for nobody.
    void begin();
    // Takes the rings of these pairs out of the workers' hands; the session is up to date then.
    void pause(vhost::Session& session, vhost::Session::PairRange pairs);
    // Gives the workers every started ring they do not have. Throws ProtocolError for a ring that
    // cannot start, after all others have.
    void resume(vhost::Session& session);
    // Tells switches where this station is. Throws Error where the frame cannot or may not be sent.
    void announce(const MacAddress& station);
    // The session is over.
    void end(vhost::Session& session);

    unsigned pairs_carrying_frames() const;
    // Throws Error once a device is gone.
    void check_devices() const;
    std::vector<std::string> take_faults(); // A line for each ring that broke since.
    // The session asks the front end for what workers could not find.
    void take_misses(vhost::Session& session);

    // Sums over all pairs, by direction.
    nlohmann::ordered_json counters() const;

private:
    struct Format {
        VnetHeader header;
        unsigned offloads;
        bool operator==(const Format&) const = default;
    };
    struct Pair {
        TapQueue tap;
        std::unique_ptr<QueuePair> worker;
        std::optional<Format> format; // Of the frames in the tap queue and those held.
        bool carries_frames = false;  // And does not only empty a disabled ring.
        std::array<std::array<uint64_t, vhost::ring_fault_count>, direction_count> faults_told{};
    };

    void start(vhost::Session& session, uint16_t number, std::exception_ptr& refused);
    void set_format(Pair& pair, const Format& format);

    UniqueFd attention_;
    std::optional<PortSecurity> security_;
    std::array<std::optional<RateLimit>, direction_count> limits_; // Full at the start only.
    std::vector<Pair> pairs_;
    uint64_t features_;
};

} // namespace tapline
