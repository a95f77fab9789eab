#include "iouring/bench/guest_nic.h"

#include "backend/base/error.h"
#include "vhost/features.h"

#include <sys/eventfd.h>

#include <algorithm>

namespace tapline::bench {
namespace {

using vhost::Feature;

constexpr unsigned burst_max = 64;                 // Frames into a queue at a time.
constexpr size_t tables_bytes = size_t{64} << 10U; // Of a queue pair.

UniqueFd make_eventfd() {
    UniqueFd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd) {
        throw Error::from_errno("make an eventfd");
    }
    return fd;
}

uint64_t drained(int fd) {
    eventfd_t value = 0;
    return eventfd_read(fd, &value) == 0 ? value : 0;
}

size_t ram_bytes(const StationPlan& plan) {
    const size_t pair = ReceiveQueue::ram_bytes(guest_ring_size) +
                        TransmitQueue::ram_bytes(guest_ring_size, plan.mix) + tables_bytes;
    constexpr size_t page = 4096;
    return (plan.queue_pairs * pair + page - 1) / page * page;
}

uint64_t negotiate(const StationPlan& plan, uint64_t offered) {
    uint64_t needed = vhost::bits(Feature::version_1, Feature::mrg_rxbuf);
    uint64_t wanted =
        vhost::bits(Feature::event_idx, Feature::indirect_desc, Feature::csum, Feature::guest_csum);
    if (plan.layout == RingLayout::packed) {
        needed |= bit(Feature::ring_packed);
    }
    if (plan.queue_pairs > 1) {
        wanted |= bit(Feature::mq);
    }
    if (plan.mix.segmented()) {
        needed |= vhost::bits(Feature::indirect_desc, Feature::csum, Feature::guest_csum,
                              Feature::host_tso4, Feature::guest_tso4);
    }
    if (const uint64_t missing = needed & ~offered; missing != 0) {
        throw Error({.operation = "use the backend",
                     .cause = "it does not offer " + vhost::feature_names(missing).front()});
    }
    return (needed | wanted) & offered;
}

} // namespace

GuestNic::GuestNic(const StationPlan& plan, std::unique_ptr<Backend> backend)
    : ram_(ram_bytes(plan)), backend_(std::move(backend)) {
    const uint64_t features = negotiate(plan, backend_->offered_features());
    std::vector<SharedRing> rings;
    for (uint16_t number = 0; number < plan.queue_pairs; ++number) {
        Pair& pair = pairs_.emplace_back(Pair{.receive_kick = make_eventfd(),
                                              .receive_call = make_eventfd(),
                                              .transmit_kick = make_eventfd(),
                                              .transmit_call = make_eventfd()});
        pair.receive_ring = DriverRing::make(plan.layout, ram_, guest_ring_size, features);
        pair.transmit_ring = DriverRing::make(plan.layout, ram_, guest_ring_size, features);
        pair.receive = std::make_unique<ReceiveQueue>(*pair.receive_ring, ram_, plan.mix,
                                                      pair.receive_kick.get());
        pair.transmit = std::make_unique<TransmitQueue>(
            *pair.transmit_ring, ram_, plan.mix, plan.path, number, pair.transmit_kick.get());
        rings.push_back({.ring = *pair.receive_ring,
                         .kick = pair.receive_kick.get(),
                         .call = pair.receive_call.get()});
        rings.push_back({.ring = *pair.transmit_ring,
                         .kick = pair.transmit_kick.get(),
                         .call = pair.transmit_call.get()});
    }
    backend_->start(features, ram_, rings);
}

unsigned GuestNic::send(unsigned max) noexcept {
    unsigned count = 0;
    for (size_t i = 0; i < pairs_.size() && count < max; ++i) {
        Pair& pair = pairs_[next_pair_];
        next_pair_ = next_pair_ + 1 == pairs_.size() ? 0 : next_pair_ + 1;
        count += pair.transmit->send(std::min(max - count, burst_max));
    }
    return count;
}

unsigned GuestNic::receive() noexcept {
    unsigned count = 0;
    for (Pair& pair : pairs_) {
        count += pair.receive->receive();
    }
    return count;
}

bool GuestNic::all_taken() noexcept {
    return std::ranges::all_of(pairs_, [](Pair& pair) { return pair.transmit->is_empty(); });
}

uint64_t GuestNic::received() const noexcept {
    uint64_t sum = 0;
    for (const Pair& pair : pairs_) {
        sum += pair.receive->received();
    }
    return sum;
}

Station::Counts GuestNic::counts() {
    Counts all;
    for (Pair& pair : pairs_) {
        calls_ += drained(pair.receive_call.get());
        all.sent += pair.transmit->sent();
        all.bytes_sent += pair.transmit->bytes_sent();
        all.received += pair.receive->received();
        all.bytes_received += pair.receive->bytes_received();
        all.looked_at += pair.receive->inspector().looked_at();
        all.reordered += pair.receive->inspector().reordered();
        all.damaged += pair.receive->inspector().damaged() + pair.receive->malformed();
        all.kicks += pair.transmit->kicks();
        all.times_full += pair.transmit->times_full();
    }
    all.calls = calls_;
    return all;
}

} // namespace tapline::bench
