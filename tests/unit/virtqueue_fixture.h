// A split virtqueue and the driver on its other side.
#pragma once

#include "tests/fakes/driver_ring.h"
#include "tests/fakes/guest_ram.h"
#include "tests/unit/fault_of.h"
#include "vhost/features.h"
#include "vhost/split_virtqueue.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace tapline::vhost {

inline std::shared_ptr<const GuestMemory> map(const fakes::GuestRam& ram) {
    const MemoryRegion region = ram.region();
    const std::array fds = {UniqueFd(fcntl(ram.fd(), F_DUPFD_CLOEXEC, 0))};
    return GuestMemory::map(std::span(&region, 1), fds);
}

struct VirtqueueOptions {
    uint16_t size = 8;
    uint64_t features = 0;
    uint16_t start = 0;
};

class VirtqueueFixture : public testing::Test {
protected:
    explicit VirtqueueFixture(const VirtqueueOptions& options = {})
        : driver_(ram_, options.size, has(options.features, Feature::event_idx), options.start),
          queue_(open(options)) {}

    SplitVirtqueue open(const VirtqueueOptions& options) {
        const Vring vring{.size = options.size,
                          .base = options.start,
                          .addresses = driver_.addresses(0),
                          .kick = {},
                          .call = {},
                          .error = {}};
        return {vring, memory_, options.features};
    }

    fakes::Buffer buffer(uint32_t length, bool writable) {
        return {.address = ram_.allocate(length, 64), .length = length, .writable = writable};
    }
    fakes::Buffer readable(uint32_t length) { return buffer(length, false); }
    fakes::Buffer writable(uint32_t length) { return buffer(length, true); }

    uint16_t add(const std::vector<fakes::Buffer>& chain,
                 fakes::DriverRing::Layout layout = fakes::DriverRing::Layout::direct) {
        return driver_.add(chain, layout).value();
    }

    // The next chain as the device sees it; its parts go with the next call.
    std::optional<Chain> peek(uint16_t ahead = 0) {
        parts_.clear();
        Chain chain{};
        if (queue_.available() <= ahead || !queue_.peek(ahead, parts_, chain)) {
            return std::nullopt;
        }
        return chain;
    }

    // Takes the next chain and gives it back. True: the driver wants a call.
    bool complete_one(uint32_t written = 0) {
        const auto chain = peek();
        EXPECT_TRUE(chain);
        queue_.complete(*chain, written);
        return queue_.publish();
    }

    fakes::GuestRam ram_{4 << 20};
    fakes::DriverRing driver_;
    std::shared_ptr<const GuestMemory> memory_ = map(ram_);
    SplitVirtqueue queue_;
    IovecList parts_{2 * chain_parts_max};
};

} // namespace tapline::vhost
