// Virtio and vhost-user feature bits by number and name (virtio 1.2, 5.1.3 and 6).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tapline::vhost {

enum class Feature : uint8_t {
    csum = 0,
    guest_csum = 1,
    mtu = 3,
    guest_tso4 = 7,
    guest_tso6 = 8,
    guest_ecn = 9,
    guest_ufo = 10,
    host_tso4 = 11,
    host_tso6 = 12,
    host_ecn = 13,
    host_ufo = 14,
    mrg_rxbuf = 15,
    mq = 22,
    log_all = 26, // Of vhost-user; the driver never sees it.
    any_layout = 27,
    indirect_desc = 28,
    event_idx = 29,
    protocol_features = 30, // Of vhost-user; the driver never sees it.
    version_1 = 32,
    access_platform = 33,
    ring_packed = 34,
    in_order = 35,
    ring_reset = 40,
    guest_uso4 = 54,
    guest_uso6 = 55,
    host_uso = 56,
};

constexpr uint64_t bit(Feature feature) {
    return 1ull << static_cast<unsigned>(feature);
}

template <typename... Features> constexpr uint64_t bits(Features... features) {
    return (bit(features) | ... | 0);
}

constexpr bool has(uint64_t features, Feature feature) {
    return (features & bit(feature)) != 0;
}

// "VIRTIO_NET_F_CSUM" and so on, lowest bit first; a bit without a name reads "bit N".
std::vector<std::string> feature_names(uint64_t features);

} // namespace tapline::vhost
