#include "iouring/offload.h"

#include "vhost/features.h"

#include <linux/if_tun.h>

#ifndef TUN_F_USO4 // Linux 6.2
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

namespace tapline {
namespace {

using vhost::Feature;

struct Pairing {
    unsigned offload;
    Feature to_guest;    // Asks the tap to leave it undone; so the tap must be able to.
    uint64_t from_guest; // The kernel does for the guest whatever it would take itself.
};

constexpr Pairing pairings[] = {
    {TUN_F_CSUM, Feature::guest_csum, bits(Feature::csum)},
    {TUN_F_TSO4, Feature::guest_tso4, bits(Feature::host_tso4)},
    {TUN_F_TSO6, Feature::guest_tso6, bits(Feature::host_tso6)},
    {TUN_F_TSO_ECN, Feature::guest_ecn, bits(Feature::host_ecn)},
    {TUN_F_UFO, Feature::guest_ufo, bits(Feature::host_ufo)},
    {TUN_F_USO4, Feature::guest_uso4, bits(Feature::host_uso)},
    {TUN_F_USO6, Feature::guest_uso6, bits(Feature::host_uso)},
};

} // namespace

uint64_t features_for_offloads(unsigned tap_offloads) {
    uint64_t features = 0;
    for (const Pairing& pairing : pairings) {
        if ((tap_offloads & pairing.offload) != 0) {
            features |= bit(pairing.to_guest) | pairing.from_guest;
        }
    }
    return features;
}

unsigned offloads_for_features(uint64_t features) {
    unsigned offloads = 0;
    for (const Pairing& pairing : pairings) {
        if (has(features, pairing.to_guest)) {
            offloads |= pairing.offload;
        }
    }
    constexpr unsigned uso = TUN_F_USO4 | TUN_F_USO6;
    if ((offloads & uso) != uso) {
        offloads &= ~uso; // The kernel takes both or neither.
    }
    // virtio 1.2, 5.1.3.1: every other guest offload needs checksums.
    return has(features, Feature::guest_csum) ? offloads : 0;
}

} // namespace tapline
