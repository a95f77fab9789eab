#include "iouring/bench/traffic_trial.h"

#include "iouring/bench/cpu_time.h"
#include "iouring/bench/sampler.h"

#include <algorithm>

namespace tapline::bench {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

constexpr unsigned burst = 64;       // Frames.
constexpr unsigned paced_burst = 16; // The same at a given rate.
constexpr unsigned flows_a_queue = 16;
constexpr double window_share = 0.75; // Of the device's queue.
constexpr duration<double> warm_up_min{0.1};
constexpr double warm_up_share = 0.2;
constexpr duration<double> quiet{0.03}; // Nothing came for so long: nothing more will.
constexpr duration<double> drain_max{1};
constexpr double loss_of_overload = 0.01;

double per_second(uint64_t count, double seconds) {
    return static_cast<double>(count) / seconds;
}

double ratio(uint64_t a, uint64_t b) {
    return b == 0 ? 0 : static_cast<double>(a) / static_cast<double>(b);
}

} // namespace

struct TrafficTrial::Snapshot {
    steady_clock::time_point time;
    Station::Counts sender;
    Station::Counts receiver;
    uint64_t wire_sent = 0;
    uint64_t wire_arrived = 0;
    uint64_t times_held_back = 0; // The sender.
    uint64_t backend_ns = 0;
    uint64_t front_end_ns = 0;
    uint64_t softirq_ns = 0;
};

TrafficTrial::TrafficTrial(Netlink& netlink, const Wire& wire, const CpuSplit& cpus,
                           const TrafficPlan& plan, const Engine& engine)
    : wire_(wire), cpus_(cpus), plan_(plan) {
    const bool two = plan.route == TrafficPlan::Route::guest_to_guest;
    for (int i = 0; i < (two ? 2 : 1); ++i) {
        devices_.push_back(wire.make_device(netlink, plan.queue_pairs));
    }
    for (size_t i = 0; i < devices_.size(); ++i) {
        const StationPlan station{
            .layout = plan.layout,
            .queue_pairs = plan.queue_pairs,
            .mix = plan.mix,
            .path = {.from = devices_[i].device().mac,
                     .to = two ? devices_[1 - i].device().mac : wire.far_address()},
            .sends = plan.guest_sends() && i == 0,
            .receives = !plan.guest_sends() || plan.route == TrafficPlan::Route::both || i == 1};
        stations_.push_back(engine.start(station, devices_[i].device()));
    }
}

void TrafficTrial::make_generator(std::optional<double> rate) {
    const uint32_t first_number = generator_ ? generator_->next_number() : 0;
    const unsigned flows = plan_.queue_pairs == 1 ? 1 : flows_a_queue * plan_.queue_pairs;
    generator_.emplace(
        Generator::Plan{.interface = wire_.far_index(),
                        .mix = plan_.mix,
                        .path = {.from = wire_.far_address(), .to = devices_.front().device().mac},
                        .flows = static_cast<uint16_t>(std::min<unsigned>(flows, flows_max)),
                        .burst = rate ? paced_burst : burst,
                        .first_number = first_number});
    window_.reset();
    if (!rate && !plan_.flood) {
        window_.emplace(
            static_cast<uint64_t>(devices_.front().device().queue_length * window_share));
    }
    received_before_ = stations_.back()->received();
}

TrafficFigures TrafficTrial::run(std::optional<double> rate) {
    if (plan_.wire_sends()) {
        make_generator(rate);
    }
    std::vector<Snapshot> looks;
    Inspector sampled;
    cpus_.play([&] {
        looks.push_back(look());
        Pace warm_up_pace(rate, burst * plan_.queue_pairs);
        sampled = warm_up(warm_up_pace);
        looks.push_back(look());
        Pace pace(rate, burst * plan_.queue_pairs);
        play_for(plan_.time, pace);
        looks.push_back(look());
        stations_.front()->stop_sending();
        drain();
        looks.push_back(look());
    });
    return figures(looks, sampled);
}

TrafficTrial::Snapshot TrafficTrial::look() {
    Snapshot snapshot{.time = steady_clock::now(),
                      .sender = stations_.front()->counts(),
                      .receiver = stations_.back()->counts()};
    if (generator_) {
        snapshot.wire_sent = generator_->sent();
    }
    snapshot.times_held_back = window_ ? window_->times_closed() : snapshot.sender.times_full;
    snapshot.wire_arrived = wire_.frames_arrived();
    for (const auto& station : stations_) {
        snapshot.backend_ns += station->cpu_ns();
    }
    snapshot.front_end_ns = cpu_ns_of_this_thread();
    snapshot.softirq_ns = softirq_ns();
    return snapshot;
}

bool TrafficTrial::wire_may_send(const Pace& pace, Pace::Time now) {
    return pace.wire_may_send(now, paced_burst) &&
           (!window_ || window_->is_open(generator_->sent(),
                                         stations_.back()->received() - received_before_, now));
}

void TrafficTrial::turn(Pace& pace) {
    const auto now = steady_clock::now();
    if (plan_.guest_sends()) {
        if (const unsigned count = pace.guest_may_send(now); count > 0) {
            pace.guest_sent(stations_.front()->send(count));
        }
    }
    if (generator_ && wire_may_send(pace, now)) {
        pace.wire_sent(generator_->send());
    }
    stations_.back()->receive();
}

void TrafficTrial::play_for(duration<double> time, Pace& pace) {
    const auto end = steady_clock::now() + time;
    while (steady_clock::now() < end) {
        turn(pace);
    }
}

Inspector TrafficTrial::warm_up(Pace& pace) {
    Sampler sampler(wire_.far_index());
    const auto time = std::max(warm_up_min, plan_.time * warm_up_share);
    const auto end = steady_clock::now() + time;
    while (steady_clock::now() < end) {
        turn(pace);
        sampler.look();
    }
    return sampler.inspector();
}

// What is under way arrives or is lost.
void TrafficTrial::drain() {
    const auto end = steady_clock::now() + drain_max;
    auto last = steady_clock::now();
    uint64_t arrived = 0;
    while (steady_clock::now() < end &&
           (steady_clock::now() - last < quiet || !stations_.front()->all_taken())) {
        stations_.back()->receive();
        const uint64_t now_arrived = stations_.back()->counts().received + wire_.frames_arrived();
        if (std::exchange(arrived, now_arrived) != now_arrived) {
            last = steady_clock::now();
        }
    }
}

TrafficFigures TrafficTrial::figures(const std::vector<Snapshot>& looks,
                                     const Inspector& sampled) const {
    const Snapshot& first = looks[0];
    const Snapshot& begin = looks[1];
    const Snapshot& end = looks[2];
    const Snapshot& last = looks[3];
    const double seconds = duration<double>(end.time - begin.time).count();
    const auto lost = [](uint64_t offered, uint64_t arrived) {
        return arrived >= offered ? 0 : 1 - ratio(arrived, offered);
    };
    TrafficFigures told;
    uint64_t delivered = 0;
    if (plan_.wire_receives()) {
        const uint64_t frames = end.wire_arrived - begin.wire_arrived;
        const double frame_bytes = ratio(end.sender.bytes_sent - begin.sender.bytes_sent,
                                         end.sender.sent - begin.sender.sent);
        told.to_wire = {.frames_per_s = per_second(frames, seconds),
                        .bits_per_s = per_second(frames, seconds) * frame_bytes * 8,
                        .offered_per_s = per_second(end.sender.sent - begin.sender.sent, seconds),
                        .loss = lost(last.sender.sent - first.sender.sent,
                                     last.wire_arrived - first.wire_arrived),
                        .looked_at = sampled.looked_at(),
                        .damaged = sampled.damaged(),
                        .reordered = sampled.reordered()};
        delivered += frames;
    }
    if (plan_.route != TrafficPlan::Route::guest_to_wire) {
        const uint64_t frames = end.receiver.received - begin.receiver.received;
        const auto offered = [&](const Snapshot& a, const Snapshot& b) {
            return generator_ ? b.wire_sent - a.wire_sent : b.sender.sent - a.sender.sent;
        };
        told.to_guest = {
            .frames_per_s = per_second(frames, seconds),
            .bits_per_s =
                per_second(end.receiver.bytes_received - begin.receiver.bytes_received, seconds) *
                8,
            .offered_per_s = per_second(offered(begin, end), seconds),
            .loss = lost(offered(first, last), last.receiver.received - first.receiver.received),
            .looked_at = last.receiver.looked_at - first.receiver.looked_at,
            .damaged = last.receiver.damaged - first.receiver.damaged,
            .reordered = last.receiver.reordered - first.receiver.reordered};
        delivered += frames;
    }
    told.backend_ns = ratio(end.backend_ns - begin.backend_ns, delivered);
    told.front_end_ns = ratio(end.front_end_ns - begin.front_end_ns, delivered);
    told.softirq_ns = ratio(end.softirq_ns - begin.softirq_ns, delivered);
    told.frames_per_kick =
        ratio(end.sender.sent - begin.sender.sent, end.sender.kicks - begin.sender.kicks);
    told.frames_per_call = ratio(end.receiver.received - begin.receiver.received,
                                 end.receiver.calls - begin.receiver.calls);
    told.sender_limits = generator_ && !window_ ? told.to_guest->loss < loss_of_overload
                                                : end.times_held_back == begin.times_held_back;
    return told;
}

} // namespace tapline::bench
