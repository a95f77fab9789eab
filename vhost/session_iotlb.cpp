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

// Without a way to ask the front end could not have meant I/O virtual addresses.
void Session::forget_translations() {
    const bool translates = has(features_, Feature::access_platform) &&
                            (protocol_features_ & protocol_feature_backend_req) != 0;
    iotlb_ = translates ? Iotlb::make(memory_) : nullptr;
    requests_.forget_all();
}

Session::Reply Session::iotlb_msg(Message& message) {
    const auto change = read<IotlbMessage>(message);
    if (!iotlb_) {
        throw ProtocolError(ProtocolFault::out_of_order,
                            "translations come before VIRTIO_F_ACCESS_PLATFORM and "
                            "VHOST_USER_PROTOCOL_F_BACKEND_REQ");
    }
    switch (change.kind) {
    case IotlbKind::update:
        iotlb_ = iotlb_->with(change);
        requests_.answered(*iotlb_);
        return std::nullopt;
    case IotlbKind::invalidate:
        iotlb_ = iotlb_->without(IovaRange::of(change.address, change.size));
        return std::nullopt;
    case IotlbKind::miss:
        break;
    }
    throw ProtocolError(ProtocolFault::bad_value, fmt::format("IOTLB message of kind {}",
                                                              static_cast<unsigned>(change.kind)));
}

// Workers hold the places of their rings while they run: those on the addresses of a message have
// to be found anew.
Session::PairRange Session::pairs_on(const IotlbMessage& message) const {
    PairRange pairs{0, 0};
    if (!iotlb_) {
        return pairs;
    }
    for (size_t index = 0; index < rings_.size(); ++index) {
        const Vring& ring = rings_[index];
        if (!ring.started || !ring.addresses ||
            !overlaps(ring_parts(ring, features_),
                      {.first = message.address, .last = message.address + message.size - 1})) {
            continue;
        }
        const auto pair = static_cast<uint16_t>(index / 2);
        pairs = {pairs.end == 0 ? pair : pairs.begin, static_cast<uint16_t>(pair + 1)};
    }
    return pairs;
}

void Session::ask(const IotlbMiss& miss) {
    if (iotlb_ && iotlb_->find(miss.address, miss.access).size == 0) {
        requests_.ask(miss);
    }
}

bool Session::locate(const Vring& ring) {
    const auto missing = untranslated(ring_parts(ring, features_), *iotlb_);
    std::ranges::for_each(missing, [this](const IotlbMiss& miss) { requests_.ask(miss); });
    return missing.empty();
}

} // namespace tapline::vhost
