// One engine carrying frames, one way or both, and what it made of them.
#pragma once

#include "backend/macvtap_device.h"
#include "iouring/bench/cpu_split.h"
#include "iouring/bench/engine.h"
#include "iouring/bench/generator.h"
#include "iouring/bench/pace.h"
#include "iouring/bench/window.h"
#include "iouring/bench/wire.h"

#include <chrono>
#include <optional>
#include <vector>

namespace tapline::bench {

struct TrafficPlan {
    enum class Route { guest_to_wire, wire_to_guest, both, guest_to_guest };

    Route route;
    Mix mix;
    RingLayout layout;
    uint16_t queue_pairs;
    std::chrono::duration<double> time;
    bool flood; // The source sends whatever becomes of it.

    bool guest_sends() const { return route != Route::wire_to_guest; }
    bool wire_sends() const { return route == Route::wire_to_guest || route == Route::both; }
    bool wire_receives() const { return route == Route::guest_to_wire || route == Route::both; }
};

// Of one direction. Rates are those of the receiving end.
struct Delivery {
    double frames_per_s = 0;
    double bits_per_s = 0;
    double offered_per_s = 0;
    double loss = 0; // Of those offered, warm-up included; 1 is all of them.
    uint64_t looked_at = 0;
    uint64_t damaged = 0;
    uint64_t reordered = 0;
};

struct TrafficFigures {
    std::optional<Delivery> to_wire;
    std::optional<Delivery> to_guest;
    double backend_ns = 0; // CPU time a delivered frame, as the next two.
    double front_end_ns = 0;
    double softirq_ns = 0;
    double frames_per_kick = 0;
    double frames_per_call = 0;
    bool sender_limits = false; // The backend took whatever came: it may be able to do more.
};

class TrafficTrial {
public:
    // All of these throw Error. What they are given outlives the trial.
    TrafficTrial(Netlink& netlink, const Wire& wire, const CpuSplit& cpus, const TrafficPlan& plan,
                 const Engine& engine);

    // rate: frames a second each way; absent: as many as can be had.
    TrafficFigures run(std::optional<double> rate = std::nullopt);

private:
    struct Snapshot;

    Snapshot look();
    void make_generator(std::optional<double> rate);
    bool wire_may_send(const Pace& pace, Pace::Time now);
    void turn(Pace& pace);
    void play_for(std::chrono::duration<double> time, Pace& pace);
    void drain();
    Inspector warm_up(Pace& pace);
    TrafficFigures figures(const std::vector<Snapshot>& looks, const Inspector& sampled) const;

    const Wire& wire_;
    const CpuSplit& cpus_;
    const TrafficPlan plan_;
    std::vector<OwnedMacvtap> devices_;
    std::vector<std::unique_ptr<Station>> stations_; // The first sends, the last receives.
    std::optional<Generator> generator_;
    std::optional<Window> window_; // Of the generator; absent: it is never held back.
    uint64_t received_before_ = 0; // What the generator has no part in.
};

} // namespace tapline::bench
