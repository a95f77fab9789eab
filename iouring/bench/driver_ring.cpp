#include "iouring/bench/driver_ring.h"

#include "iouring/bench/packed_driver.h"
#include "iouring/bench/split_driver.h"
#include "vhost/features.h"

namespace tapline::bench {

const char* to_text(RingLayout layout) {
    return layout == RingLayout::split ? "split" : "packed";
}

std::unique_ptr<DriverRing> DriverRing::make(RingLayout layout, GuestRam& ram, uint16_t size,
                                             uint64_t features) {
    const bool event_index = has(features, vhost::Feature::event_idx);
    if (layout == RingLayout::packed) {
        return std::make_unique<PackedDriver>(ram, size, event_index);
    }
    return std::make_unique<SplitDriver>(ram, size, event_index);
}

} // namespace tapline::bench
