// What serves a guest's network card: another process or thread that speaks vhost-user, or the
// kernel.
#pragma once

#include "iouring/bench/driver_ring.h"
#include "iouring/bench/guest_ram.h"

#include <cstdint>
#include <span>

namespace tapline::bench {

// One ring as it is handed over; everything is borrowed.
struct SharedRing {
    const DriverRing& ring;
    int kick;
    int call;
};

class Backend {
public:
    virtual ~Backend() = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    // All of these throw Error.
    virtual uint64_t offered_features() = 0;
    // From here on it moves frames. Rings in the order of virtio, a pair at a time.
    virtual void start(uint64_t features, const GuestRam& ram,
                       std::span<const SharedRing> rings) = 0;
    // CPU time that it has used so far, in nanoseconds. It is still at work then.
    virtual uint64_t cpu_ns() const = 0;

protected:
    Backend() = default;
};

} // namespace tapline::bench
