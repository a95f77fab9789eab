#include "tests/micro/guest_lane.h"

#include "tests/fakes/packed_driver_ring.h"
#include "tests/fakes/split_driver_ring.h"
#include "vhost/features.h"
#include "vhost/vring.h"

#include <fcntl.h>

#include <stdexcept>

namespace tapline::micro {
namespace {

constexpr size_t buffer_bytes = 2048;

std::unique_ptr<fakes::DriverRing> make_driver(fakes::GuestRam& ram, bool packed, uint16_t size) {
    if (packed) {
        return std::make_unique<fakes::PackedDriverRing>(ram, size, true);
    }
    return std::make_unique<fakes::SplitDriverRing>(ram, size, true);
}

} // namespace

GuestLane::GuestLane(bool packed, uint16_t size)
    : driver_(make_driver(ram_, packed, size)), buffer_of_(size) {
    const vhost::MemoryRegion region = ram_.region();
    const std::array fds = {UniqueFd(fcntl(ram_.fd(), F_DUPFD_CLOEXEC, 0))};
    memory_ = vhost::GuestMemory::map(std::span(&region, 1), fds);
    const vhost::Vring vring{.size = size,
                             .base = driver_->first_base(),
                             .addresses = driver_->addresses(0),
                             .kick = {},
                             .call = {},
                             .error = {}};
    using enum vhost::Feature;
    queue_ = vhost::Virtqueue::make(vring, memory_,
                                    bit(event_idx) | bit(indirect_desc) |
                                        (packed ? bit(ring_packed) : uint64_t{0}));
    driver_->disable_calls();
    for (uint16_t i = 0; i < size; ++i) {
        free_buffers_.push_back(ram_.allocate(buffer_bytes, 64));
    }
}

void GuestLane::add(unsigned count, uint32_t bytes, bool writable,
                    fakes::DriverRing::Layout layout) {
    for (unsigned i = 0; i < count; ++i) {
        const fakes::Buffer buffer{
            .address = free_buffers_.back(), .length = bytes, .writable = writable};
        const auto id = driver_->add(std::span(&buffer, 1), layout);
        if (!id) {
            throw std::runtime_error("the ring is full");
        }
        buffer_of_[*id] = buffer.address;
        free_buffers_.pop_back();
    }
}

unsigned GuestLane::take_back() {
    unsigned count = 0;
    for (; const auto used = driver_->next_used(); ++count) {
        free_buffers_.push_back(buffer_of_[used->id]);
    }
    return count;
}

} // namespace tapline::micro
