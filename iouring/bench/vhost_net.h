// The kernel's own backend, /dev/vhost-net: one descriptor a queue pair
// (include/uapi/linux/vhost.h).
#pragma once

#include "backend/tap_queue.h"
#include "iouring/bench/backend.h"

#include <sys/types.h>

#include <string>
#include <vector>

namespace tapline::bench {

class VhostNet final : public Backend {
public:
    // Why there is none here; empty where there is.
    static std::string obstacle(RingLayout layout);

    explicit VhostNet(std::vector<TapQueue> taps); // Throws Error.

    uint64_t offered_features() override;
    void start(uint64_t features, const GuestRam& ram, std::span<const SharedRing> rings) override;
    uint64_t cpu_ns() const override;

private:
    std::vector<TapQueue> taps_;
    std::vector<UniqueFd> devices_; // By pair; closed before the taps.
    std::vector<pid_t> workers_;    // The kernel's threads, which count as this process's.
};

} // namespace tapline::bench
