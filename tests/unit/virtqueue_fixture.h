// A virtqueue and the driver on its other side.
#pragma once

#include "tests/fakes/guest_ram.h"
#include "tests/fakes/packed_driver_ring.h"
#include "tests/fakes/split_driver_ring.h"
#include "tests/unit/fault_of.h"
#include "vhost/features.h"
#include "vhost/virtqueue.h"

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

inline fakes::SplitDriverRing make_driver(fakes::GuestRam& ram, const VirtqueueOptions& options,
                                          const fakes::SplitDriverRing*) {
    return {ram, options.size, has(options.features, Feature::event_idx), options.start};
}

inline fakes::PackedDriverRing make_driver(fakes::GuestRam& ram, const VirtqueueOptions& options,
                                           const fakes::PackedDriverRing*) {
    return {ram, options.size, has(options.features, Feature::event_idx)};
}

template <typename Driver> class VirtqueueWith : public testing::Test {
protected:
    explicit VirtqueueWith(const VirtqueueOptions& options = {})
        : driver_(make_driver(ram_, options, static_cast<const Driver*>(nullptr))),
          queue_(open(options)) {}

    std::unique_ptr<Virtqueue> open(const VirtqueueOptions& options) {
        const Vring vring{.size = options.size,
                          .base = driver_.first_base(),
                          .addresses = driver_.addresses(0),
                          .kick = {},
                          .call = {},
                          .error = {}};
        return Virtqueue::make(vring, memory_, options.features);
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
    std::optional<Chain> peek(unsigned ahead = 0) {
        queue_->rewind();
        parts_.clear();
        Chain chain{};
        for (unsigned i = 0; i <= ahead; ++i) {
            if (!queue_->peek(parts_, chain)) {
                return std::nullopt;
            }
        }
        return chain;
    }

    // The chains that can be taken, or could before one of them broke the queue.
    unsigned waiting() {
        unsigned count = 0;
        while (peek(count)) {
            ++count;
        }
        return count;
    }

    // Takes the next chain and gives it back. True: the driver wants a call.
    bool complete_one(uint32_t written = 0) {
        const auto chain = peek();
        EXPECT_TRUE(chain);
        queue_->complete(*chain, written);
        return queue_->publish();
    }

    fakes::GuestRam ram_{4 << 20};
    Driver driver_;
    std::shared_ptr<const GuestMemory> memory_ = map(ram_);
    std::unique_ptr<Virtqueue> queue_;
    IovecList parts_{2 * chain_parts_max};
};

using VirtqueueFixture = VirtqueueWith<fakes::SplitDriverRing>;
using PackedVirtqueueFixture = VirtqueueWith<fakes::PackedDriverRing>;

} // namespace tapline::vhost
