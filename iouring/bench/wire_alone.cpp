#include "iouring/bench/wire_alone.h"

#include "backend/tap_queue.h"
#include "iouring/bench/generator.h"

#include <linux/if_tun.h>

#include <chrono>

namespace tapline::bench {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds time{100};
constexpr size_t source_burst = 64;

double flood(const CpuSplit& cpus, const Generator::Plan& plan) {
    double rate = 0;
    cpus.play([&] {
        Generator generator(plan);
        const auto begin = steady_clock::now();
        while (steady_clock::now() < begin + time) {
            generator.send();
        }
        rate = static_cast<double>(generator.sent()) /
               duration<double>(steady_clock::now() - begin).count();
    });
    return rate;
}

} // namespace

double source_alone(Netlink& netlink, const Wire& wire, const CpuSplit& cpus, const Mix& mix) {
    const OwnedMacvtap owned = wire.make_device(netlink, 1);
    auto queues = open_queues(owned.device(), 1);
    queues.front().configure(VnetHeader::v1,
                             mix.segmented() ? TUN_F_CSUM | TUN_F_TSO4 : TUN_F_CSUM);
    return flood(cpus, {.interface = wire.far_index(),
                        .mix = mix,
                        .path = {.from = wire.far_address(), .to = owned.device().mac},
                        .flows = 1,
                        .burst = source_burst});
}

double sink_alone(const Wire& wire, const CpuSplit& cpus, const Mix& mix) {
    return flood(cpus, {.interface = wire.parent_index(),
                        .mix = mix,
                        .path = {.from = MacAddress::random(), .to = wire.far_address()},
                        .flows = 1,
                        .burst = 1});
}

} // namespace tapline::bench
