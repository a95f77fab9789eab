// Virtio features on one side, offloads of the tap queue on the other: what one means in the other.
#pragma once

#include <cstdint>

namespace tapline {

// What a guest may be offered on a tap queue that takes these TUN_F_* bits.
uint64_t features_for_offloads(unsigned tap_offloads);

// The TUN_F_* bits that let through just what a guest with these features can receive.
unsigned offloads_for_features(uint64_t features);

} // namespace tapline
