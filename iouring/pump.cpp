#include "iouring/pump.h"

#include "backend/base/error.h"
#include "iouring/announcement.h"
#include "iouring/offload.h"
#include "vhost/features.h"
#include "vhost/protocol_error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/eventfd.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace tapline {
namespace {

using vhost::Feature;

constexpr std::array<const char*, direction_count> direction_names = {"wire_to_guest",
                                                                      "guest_to_wire"};

// Two bits are left out on purpose.
// VIRTIO_NET_F_GUEST_ANNOUNCE: with it QEMU sends no RARP after a migration and relies on the
// guest, which announces only interfaces that have an IP address; and the Linux driver refuses a
// card that has it without a control queue, which front ends that pass our bits as they are
// (crosvm) do not give. Without it the RARP works for every guest. VIRTIO_F_RING_RESET: QEMU passes
// the offer on to the driver, yet of a reset it tells only the kernel's vhost
// (virtio_net_queue_reset() in hw/net/virtio-net.c, 7.2 to 10.0). We would go on with the ring that
// was, in memory the guest has freed. Front ends can restart any ring without it.
uint64_t features_of(TapQueue& tap, size_t queue_pairs) {
    constexpr uint64_t always =
        vhost::bits(Feature::version_1, Feature::mrg_rxbuf, Feature::mtu, Feature::event_idx,
                    Feature::indirect_desc, Feature::any_layout, Feature::ring_packed,
                    Feature::in_order, Feature::access_platform);
    return always | features_for_offloads(tap.supported_offloads()) |
           (queue_pairs > 1 ? bit(Feature::mq) : 0);
}

// What never happened has no key.
template <size_t n, typename Name>
void add_named(nlohmann::ordered_json& sums, const std::array<Counter, n>& counters, Name name) {
    for (size_t i = 0; i < n; ++i) {
        if (const uint64_t value = counters[i].value(); value > 0) {
            sums[name(i)] = sums.value(name(i), uint64_t{0}) + value;
        }
    }
}

// The lane of a ring that runs. One that cannot run is stopped, and why goes to refused,
// unless it waits for its memory to come back or to be told of.
std::optional<QueuePair::Lane> make_lane(vhost::Session& session, uint16_t ring,
                                         std::exception_ptr& refused) {
    vhost::Vring& control = session.rings()[ring];
    if (!session.ring_runs(ring) || !session.locate(control)) {
        return std::nullopt; // What the front end tells starts it.
    }
    try {
        auto queue = vhost::Virtqueue::make(control, session.memory(), session.features(),
                                            session.iotlb().get());
        queue->log_to(session.dirty_log());
        return QueuePair::Lane{.queue = std::move(queue),
                               .kick = control.kick.get(),
                               .call = control.call.get(),
                               .error = control.error.get(),
                               .calls_first = std::exchange(control.call_is_new, false)};
    } catch (const vhost::ProtocolError&) {
        if (control.may_wait_for_memory) {
            return std::nullopt;
        }
        control.started = false;
        refused = std::current_exception();
        return std::nullopt;
    }
}

} // namespace

Pump::Pump(std::vector<TapQueue> taps, const Policy& policy,
           std::vector<std::unique_ptr<ExpressLane>> lanes)
    : attention_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      features_(features_of(taps.front(), taps.size())) {
    if (!attention_) {
        throw Error::from_errno("make an eventfd");
    }
    if (policy.security) {
        security_.emplace(*policy.security, taps.front().mac());
    }
    for (size_t direction = 0; direction < direction_count; ++direction) {
        if (const auto& rates = policy.limits[direction]) {
            limits_[direction].emplace(*rates, RateLimit::now());
        }
    }
    (void)Ring::create(taps.front().fd()); // What cannot run shall be said now, not to a guest.
    lanes.resize(taps.size());
    for (size_t number = 0; number < taps.size(); ++number) {
        auto worker = std::make_unique<QueuePair>(taps[number].fd(), attention_.get(),
                                                  std::move(lanes[number]));
        pairs_.push_back({.tap = std::move(taps[number]), .worker = std::move(worker)});
    }
    begin();
}

vhost::Session::Offer Pump::offer() const {
    vhost::Session::Offer offer{.features = features_, .queue_pairs = queue_pairs()};
    if (const auto mtu = pairs_.front().tap.mtu()) {
        offer.mtu_max = *mtu;
    }
    return offer;
}

// What the guest may not send the front end may not have sent for it.
void Pump::announce(const MacAddress& station) {
    const auto frame = announcement_of(station);
    const auto why = security_ ? security_->refusal({}, frame) : std::nullopt;
    auto& limit = limits_[static_cast<size_t>(Direction::guest_to_wire)];
    if (why || (limit && !limit->take({.bytes = frame.size(), .frames = 1}, RateLimit::now()))) {
        throw Error({.operation = "send the announcement",
                     .cause = why ? fmt::format("port security drops it: {}", to_text(*why))
                                  : "it is over the rate limit"});
    }
    pairs_.front().tap.send(frame);
}

void Pump::begin() {
    for (Pair& pair : pairs_) {
        pair.tap.discard_waiting_frames();
    }
}

void Pump::pause(vhost::Session& session, vhost::Session::PairRange pairs) {
    for (uint16_t number = pairs.begin; number < pairs.end; ++number) {
        const auto lanes = pairs_[number].worker->stop();
        for (size_t direction = 0; direction < direction_count; ++direction) {
            if (const auto& lane = lanes[direction]) {
                vhost::Vring& ring = session.rings()[size_t{2} * number + direction];
                ring.base = lane->queue->base();
                ring.started = lane->queue->fault() == vhost::RingFault::none;
            }
        }
    }
}

void Pump::resume(vhost::Session& session) {
    std::exception_ptr refused;
    for (uint16_t number = 0; number < pairs_.size(); ++number) {
        QueuePair& worker = *pairs_[number].worker;
        if (!worker.running()) {
            start(session, number, refused);
            continue;
        }
        worker.translations().publish(session.iotlb());
        // A ring that waits beside one that runs: its requests may have been forgotten.
        for (const Direction direction : {Direction::wire_to_guest, Direction::guest_to_wire}) {
            const auto ring = static_cast<uint16_t>(2 * number + static_cast<unsigned>(direction));
            if (session.ring_runs(ring) && !worker.serves(direction)) {
                (void)session.locate(session.rings()[ring]);
            }
        }
    }
    if (refused) {
        std::rethrow_exception(refused);
    }
}

void Pump::start(vhost::Session& session, uint16_t number, std::exception_ptr& refused) {
    const uint16_t in = vhost::ring_of_wire_to_guest(number);
    const uint16_t out = vhost::ring_of_guest_to_wire(number);
    const bool receives = session.ring_runs(in) && session.ring_is_enabled(in);
    const bool sends = session.ring_runs(out) && session.ring_is_enabled(out);
    Pair& pair = pairs_[number];
    // A frame in a queue that nobody reads is lost. The first one stays, or frames for the guest
    // would go to the host's own network stack (tap_handle_frame() in drivers/net/tap.c).
    pair.tap.set_attached(receives || number == 0);

    // virtio 1.2, 5.1.6.1: before version 1 num_buffers is only there with mergeable buffers.
    const uint64_t features = session.features();
    const bool mergeable = has(features, Feature::mrg_rxbuf);
    const auto header =
        has(features, Feature::version_1) || mergeable ? VnetHeader::v1 : VnetHeader::legacy;
    QueuePair::Plan plan{
        .format = {.header_bytes = static_cast<size_t>(header), .mergeable = mergeable},
        .fate = sends ? GuestToWire::Fate::send : GuestToWire::Fate::discard,
        .lanes = {receives ? make_lane(session, in, refused) : std::nullopt,
                  make_lane(session, out, refused)},
        .iotlb = session.iotlb(),
        .security = security_ ? &*security_ : nullptr};
    for (size_t direction = 0; direction < direction_count; ++direction) {
        plan.limits[direction] = limits_[direction] ? &*limits_[direction] : nullptr;
    }
    // Behind an IOMMU rings come and go with each flush of it: that is not worth telling.
    const auto serves = [&](Direction direction, uint16_t ring) {
        return plan.lanes[static_cast<size_t>(direction)] ||
               (session.iotlb() && session.ring_runs(ring));
    };
    pair.carries_frames = (receives && serves(Direction::wire_to_guest, in)) ||
                          (sends && serves(Direction::guest_to_wire, out));
    const bool runs = plan.lanes[0] || plan.lanes[1];
    if (runs || pair.carries_frames) {
        set_format(pair, {.header = header, .offloads = offloads_for_features(features)});
    }
    if (runs) {
        pair.worker->start(std::move(plan));
    }
}

// Frames that wait were made for a driver with other features: this one cannot read them.
void Pump::set_format(Pair& pair, const Format& format) {
    if (pair.format == format) {
        return;
    }
    pair.tap.configure(format.header, format.offloads);
    pair.tap.discard_waiting_frames();
    pair.worker->forget_held_frames();
    pair.format = format;
}

void Pump::end(vhost::Session& session) {
    pause(session, {0, queue_pairs()});
    for (size_t number = 0; number < pairs_.size(); ++number) {
        pairs_[number].worker->forget_held_frames();
        pairs_[number].tap.set_attached(number == 0);
    }
}

unsigned Pump::pairs_carrying_frames() const {
    return static_cast<unsigned>(
        std::ranges::count_if(pairs_, [](const Pair& pair) { return pair.carries_frames; }));
}

void Pump::check_devices() const {
    for (const Pair& pair : pairs_) {
        (void)pair.tap.device_name();
    }
}

std::vector<std::string> Pump::take_faults() {
    eventfd_t drained = 0;
    eventfd_read(attention_.get(), &drained);
    std::vector<std::string> lines;
    for (size_t number = 0; number < pairs_.size(); ++number) {
        for (size_t direction = 0; direction < direction_count; ++direction) {
            const DirectionCounters& counters =
                pairs_[number].worker->counters(static_cast<Direction>(direction));
            for (size_t fault = 0; fault < vhost::ring_fault_count; ++fault) {
                uint64_t& told = pairs_[number].faults_told[direction][fault];
                const uint64_t before = std::exchange(told, counters.faults[fault].value());
                if (before == told) {
                    continue;
                }
                const size_t ring = 2 * number + direction;
                lines.push_back(fmt::format("ring {} ({}) is broken: {}", ring,
                                            direction_names[direction],
                                            to_text(static_cast<vhost::RingFault>(fault))));
            }
        }
    }
    return lines;
}

void Pump::take_misses(vhost::Session& session) {
    for (const Pair& pair : pairs_) {
        while (const auto miss = pair.worker->translations().take_miss()) {
            session.ask(*miss);
        }
    }
}

nlohmann::ordered_json Pump::counters() const {
    nlohmann::ordered_json all;
    for (const Direction direction : {Direction::guest_to_wire, Direction::wire_to_guest}) {
        uint64_t frames = 0;
        uint64_t bytes = 0;
        uint64_t express_frames = 0;
        auto dropped = nlohmann::ordered_json::object();
        auto faults = nlohmann::ordered_json::object();
        for (const Pair& pair : pairs_) {
            const DirectionCounters& counters = pair.worker->counters(direction);
            frames += counters.frames.value();
            bytes += counters.bytes.value();
            express_frames += counters.express_frames.value();
            add_named(dropped, counters.drops,
                      [](size_t i) { return to_text(static_cast<Drop>(i)); });
            add_named(faults, counters.faults,
                      [](size_t i) { return to_text(static_cast<vhost::RingFault>(i)); });
        }
        all[direction_names[static_cast<size_t>(direction)]] = {
            {"frames", frames}, {"bytes", bytes}, {"dropped", dropped}, {"ring_faults", faults}};
        if (express_frames > 0) {
            all[direction_names[static_cast<size_t>(direction)]]["express_frames"] = express_frames;
        }
    }
    return all;
}

} // namespace tapline
