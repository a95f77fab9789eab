#include "vhost/features.h"

#include <fmt/format.h>

namespace tapline::vhost {
namespace {

const char* name(Feature feature) {
    switch (feature) {
    case Feature::csum:
        return "VIRTIO_NET_F_CSUM";
    case Feature::guest_csum:
        return "VIRTIO_NET_F_GUEST_CSUM";
    case Feature::mtu:
        return "VIRTIO_NET_F_MTU";
    case Feature::guest_tso4:
        return "VIRTIO_NET_F_GUEST_TSO4";
    case Feature::guest_tso6:
        return "VIRTIO_NET_F_GUEST_TSO6";
    case Feature::guest_ecn:
        return "VIRTIO_NET_F_GUEST_ECN";
    case Feature::guest_ufo:
        return "VIRTIO_NET_F_GUEST_UFO";
    case Feature::host_tso4:
        return "VIRTIO_NET_F_HOST_TSO4";
    case Feature::host_tso6:
        return "VIRTIO_NET_F_HOST_TSO6";
    case Feature::host_ecn:
        return "VIRTIO_NET_F_HOST_ECN";
    case Feature::host_ufo:
        return "VIRTIO_NET_F_HOST_UFO";
    case Feature::mrg_rxbuf:
        return "VIRTIO_NET_F_MRG_RXBUF";
    case Feature::mq:
        return "VIRTIO_NET_F_MQ";
    case Feature::log_all:
        return "VHOST_F_LOG_ALL";
    case Feature::any_layout:
        return "VIRTIO_F_ANY_LAYOUT";
    case Feature::indirect_desc:
        return "VIRTIO_F_INDIRECT_DESC";
    case Feature::event_idx:
        return "VIRTIO_F_EVENT_IDX";
    case Feature::protocol_features:
        return "VHOST_USER_F_PROTOCOL_FEATURES";
    case Feature::version_1:
        return "VIRTIO_F_VERSION_1";
    case Feature::access_platform:
        return "VIRTIO_F_ACCESS_PLATFORM";
    case Feature::ring_packed:
        return "VIRTIO_F_RING_PACKED";
    case Feature::in_order:
        return "VIRTIO_F_IN_ORDER";
    case Feature::ring_reset:
        return "VIRTIO_F_RING_RESET";
    case Feature::guest_uso4:
        return "VIRTIO_NET_F_GUEST_USO4";
    case Feature::guest_uso6:
        return "VIRTIO_NET_F_GUEST_USO6";
    case Feature::host_uso:
        return "VIRTIO_NET_F_HOST_USO";
    }
    return nullptr;
}

} // namespace

std::vector<std::string> feature_names(uint64_t features) {
    std::vector<std::string> names;
    for (unsigned number = 0; number < 64; ++number) {
        if ((features >> number & 1) != 0) {
            const char* known = name(static_cast<Feature>(number));
            names.push_back(known != nullptr ? known : fmt::format("bit {}", number));
        }
    }
    return names;
}

} // namespace tapline::vhost
