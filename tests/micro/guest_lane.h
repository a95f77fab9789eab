// A virtqueue in a guest's memory with the driver on its other side: one thread plays both.
#pragma once

#include "tests/fakes/driver_ring.h"
#include "tests/fakes/guest_ram.h"
#include "vhost/virtqueue.h"

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace tapline::micro {

class GuestLane {
public:
    // A driver as Linux has it: event index, indirect descriptors, and too busy to want calls.
    GuestLane(bool packed, uint16_t size);

    std::unique_ptr<vhost::Virtqueue> take_queue() { return std::move(queue_); }
    fakes::DriverRing& driver() { return *driver_; }

    // Makes so many more chains available, each of one buffer.
    void add(unsigned count, uint32_t bytes, bool writable,
             fakes::DriverRing::Layout layout = fakes::DriverRing::Layout::direct);
    // Takes back what the device has used. Returns how many chains that were.
    unsigned take_back();

private:
    fakes::GuestRam ram_{64 << 20};
    std::unique_ptr<fakes::DriverRing> driver_;
    std::shared_ptr<const vhost::GuestMemory> memory_;
    std::unique_ptr<vhost::Virtqueue> queue_;
    std::vector<uint64_t> free_buffers_;
    std::vector<uint64_t> buffer_of_; // By the chain's id.
};

} // namespace tapline::micro
