// Guest memory that a fuzzer fills: a ring's tables and whatever they point to, at address 0.
#pragma once

#include "tests/fakes/guest_ram.h"
#include "tests/fuzz/input.h"
#include "vhost/guest_memory.h"
#include "vhost/vring.h"

#include <fcntl.h>

#include <array>
#include <memory>

namespace tapline::fuzz {

class RingMemory {
public:
    static constexpr size_t bytes = 1 << 16;

    std::shared_ptr<const vhost::GuestMemory> map() const {
        const vhost::MemoryRegion region = ram_.region();
        const std::array fds = {UniqueFd(fcntl(ram_.fd(), F_DUPFD_CLOEXEC, 0))};
        return vhost::GuestMemory::map(std::span(&region, 1), fds);
    }

    // All else is zeros.
    void fill(std::span<const std::byte> content) {
        const auto all = ram_.at(0, bytes);
        std::ranges::fill(all, std::byte{0});
        std::ranges::copy(content.first(std::min(content.size(), bytes)), all.begin());
    }

    uint64_t user_address(uint64_t offset) const { return ram_.user_address(offset); }

    // A ring whose tables lie one behind the other from this offset; behind an IOMMU that is where
    // it shows them.
    vhost::Vring ring(size_t offset, uint32_t size, std::optional<uint16_t> base = {},
                      bool translated = false) const {
        const uint64_t descriptors = translated ? offset : ram_.user_address(offset);
        const uint64_t available = descriptors + 16 * size;
        const uint64_t used = (available + 6 + 2 * size + 3) / 4 * 4;
        vhost::Vring vring;
        vring.size = size;
        vring.base = base;
        vring.addresses = {.index = 0,
                           .flags = 0,
                           .descriptors = descriptors,
                           .used = used,
                           .available = available,
                           .log = 0};
        return vring;
    }

private:
    fakes::GuestRam ram_{bytes, 0};
};

} // namespace tapline::fuzz
