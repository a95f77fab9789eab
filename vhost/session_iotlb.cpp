// The messages of a session whose guest has an IOMMU in front of its memory.
#include "vhost/features.h"
#include "vhost/payload.h"
#include "vhost/protocol_error.h"
#include "vhost/ring_memory.h"
#include "vhost/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace tapline::vhost {

Session::Reply Session::set_backend_req_fd(Message& message) {
    requests_.connect(std::move(message.fds.front()));
    return std::nullopt;
}

// Both are also true of front ends without an IOMMU. crosvm agrees to requests whenever it can and
// has VIRTIO_F_ACCESS_PLATFORM for guests whose memory is protected; it knows no translations,
// tells of rings by user addresses, and ends at a request it does not know. QEMU takes the feature
// away where there is no IOMMU, and where there is one tells by itself, each time a device starts,
// of a page of each used ring (vhost_dev_start() in hw/virtio/vhost.c). Cloud Hypervisor does not
// take requests from a network device. So a first message on translations is what tells.
bool Session::may_translate() const {
    return has(features_, Feature::access_platform) &&
           (protocol_features_ & protocol_feature_backend_req) != 0;
}

// With the memory as it is now. No worker runs.
void Session::renew_translations() {
    iotlb_ = may_translate() && requests_.is_open() ? Iotlb::make(memory_) : nullptr;
    requests_.forget_all();
}

// A front end that stops its device says no more of what becomes invalid.
void Session::forget_translations() {
    if (iotlb_) {
        iotlb_ = iotlb_->without({.first = 0, .last = UINT64_MAX});
    }
    requests_.forget_all();
}

Session::Reply Session::iotlb_msg(Message& message) {
    const auto change = read<IotlbMessage>(message);
    if (!may_translate()) {
        throw ProtocolError(ProtocolFault::out_of_order,
                            "translations come before VIRTIO_F_ACCESS_PLATFORM and "
                            "VHOST_USER_PROTOCOL_F_BACKEND_REQ");
    }
    const auto table = iotlb_ ? iotlb_ : Iotlb::make(memory_);
    if (change.kind == IotlbKind::update) {
        iotlb_ = table->with(change);
        requests_.answered(*iotlb_);
    } else if (change.kind == IotlbKind::invalidate) {
        iotlb_ = table->without(IovaRange::of(change.address, change.size));
    } else {
        throw ProtocolError(
            ProtocolFault::bad_value,
            fmt::format("IOTLB message of kind {}", static_cast<unsigned>(change.kind)));
    }
    requests_.open();
    return std::nullopt;
}

// Workers hold the places of their rings while they run: those on the addresses of a message have
// to be found anew. QEMU tells of a used ring with each start, and more than was asked for.
Session::PairRange Session::pairs_on(const IotlbMessage& message) const {
    PairRange pairs{0, 0};
    if (!may_translate()) {
        return pairs;
    }
    if (!iotlb_) { // From the first one on all addresses mean something else.
        return {0, offer_.queue_pairs};
    }
    const std::byte* const told = // Null: it takes back, or will be refused.
        message.kind == IotlbKind::update && memory_
            ? memory_->at_user_address(message.user_address, message.size)
            : nullptr;
    const auto changes = [&](const Vring& ring) {
        const RingParts parts = ring_parts(ring, features_);
        return overlaps(parts,
                        {.first = message.address, .last = message.address + message.size - 1}) &&
               (told == nullptr || !knows(*iotlb_, parts, message, told));
    };
    for (uint16_t index = 0; index < rings_.size(); ++index) {
        if (ring_runs(index) && changes(rings_[index])) {
            const auto pair = static_cast<uint16_t>(index / 2);
            pairs = {pairs.end == 0 ? pair : pairs.begin, static_cast<uint16_t>(pair + 1)};
        }
    }
    return pairs;
}

void Session::ask(const IotlbMiss& miss) {
    if (iotlb_ && iotlb_->find(miss.address, miss.access).size == 0) {
        requests_.ask(miss);
    }
}

bool Session::locate(const Vring& ring) {
    if (!may_translate()) {
        return true;
    }
    const RingParts parts = ring_parts(ring, features_);
    if (!iotlb_ && lies_in(parts, *memory_)) {
        return true;
    }
    const auto missing = untranslated(parts, iotlb_ ? *iotlb_ : *Iotlb::make(memory_));
    std::ranges::for_each(missing, [this](const IotlbMiss& miss) { requests_.ask(miss); });
    return missing.empty();
}

} // namespace tapline::vhost
