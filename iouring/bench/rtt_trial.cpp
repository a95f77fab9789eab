#include "iouring/bench/rtt_trial.h"

#include "iouring/bench/cpu_time.h"
#include "iouring/bench/generator.h"
#include "iouring/bench/packet_socket.h"

#include <linux/if_ether.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <thread>

namespace tapline::bench {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds patience{1000}; // Then a ping is lost.
constexpr unsigned warm_up_pings = 200;

StationPlan station_plan(const RttPlan& plan, const Path& path) {
    return {.layout = plan.layout,
            .queue_pairs = 1,
            .mix = plan.mix,
            .path = path,
            .sends = true,
            .receives = true};
}

} // namespace

class RttTrial::Pinger {
public:
    Pinger(const RttPlan& plan, const Wire& wire, const MacAddress& guest, Station& station)
        : generator_({.interface = wire.far_index(),
                      .mix = plan.mix,
                      .path = {.from = wire.far_address(), .to = guest},
                      .flows = 1,
                      .burst = 1}),
          answers_(open_packet_socket(wire.far_index(), ETH_P_IP)),
          station_(station) {}

    // Whether it was answered in time. The guest and the far side are busy all the while, so that
    // the time is the backend's and not that of waking them.
    bool ping() {
        const auto until = steady_clock::now() + patience;
        generator_.send();
        std::array<std::byte, ETH_HLEN> head{};
        do {
            if (const unsigned count = station_.receive(); count > 0) {
                station_.send(count);
            }
            if (recv(answers_.get(), head.data(), head.size(), MSG_DONTWAIT) > 0) {
                return true;
            }
        } while (steady_clock::now() < until);
        return false;
    }

private:
    Generator generator_;
    UniqueFd answers_;
    Station& station_;
};

RttTrial::RttTrial(Netlink& netlink, const Wire& wire, const CpuSplit& cpus, const RttPlan& plan,
                   const Engine& engine)
    : wire_(wire),
      cpus_(cpus),
      plan_(plan),
      device_(wire.make_device(netlink, 1)),
      station_(
          engine.start(station_plan(plan, {.from = device_.device().mac, .to = wire.far_address()}),
                       device_.device())) {}

RttFigures RttTrial::run(std::chrono::microseconds gap) {
    RttFigures figures;
    cpus_.play([&] {
        Pinger pinger(plan_, wire_, device_.device().mac, *station_);
        for (unsigned i = 0; i < warm_up_pings; ++i) {
            pinger.ping();
        }
        const uint64_t cpu_before = station_->cpu_ns();
        const auto end = steady_clock::now() + plan_.time;
        for (auto begin = steady_clock::now(); begin < end; begin = steady_clock::now()) {
            if (pinger.ping()) {
                const duration<double, std::micro> time = steady_clock::now() - begin;
                figures.times_us.push_back(time.count());
            } else {
                ++figures.lost;
            }
            if (gap > gap.zero()) {
                std::this_thread::sleep_for(gap);
            }
        }
        const auto pings = static_cast<double>(figures.times_us.size() + figures.lost);
        figures.cpu_us = static_cast<double>(station_->cpu_ns() - cpu_before) / 1000 / pings;
    });
    return figures;
}

} // namespace tapline::bench
