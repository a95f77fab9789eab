// The driver's side of a packed virtqueue (virtio 1.2, 2.8).
#pragma once

#include "backend/base/byte_order.h"
#include "iouring/bench/driver_ring.h"

#include <vector>

namespace tapline::bench {

class PackedDriver final : public DriverRing {
public:
    PackedDriver(GuestRam& ram, uint16_t size, bool event_index);

    void define(uint16_t id, std::span<const Part> parts, Access access) override;
    void add(uint16_t id) noexcept override;
    bool publish() noexcept override;
    bool next_used(Used& used) noexcept override;
    bool ask_for_call(uint16_t after) noexcept override;
    vhost::VringAddresses addresses(uint32_t index) const override;
    uint32_t base() const override { return 0x80008000; } // Both wrap counters 1, both places 0.

private:
    struct Descriptor {
        Le64 address;
        Le32 length;
        Le16 id;
        uint16_t flags; // Little-endian, through load() and store() only.
    };
    struct Event { // 2.8.14
        uint16_t place_and_wrap;
        uint16_t flags;
    };
    struct Chain {
        Part part;
        uint16_t flags;
    };
    struct Place { // In the ring, and how often its end was passed: 2.8.1
        uint16_t index = 0;
        bool wrap = true;

        void advance(uint16_t size);
    };

    bool is_used(const Place& place) const noexcept;

    GuestRam& ram_;
    const uint64_t ring_at_;
    const uint64_t driver_event_at_;
    const uint64_t device_event_at_;
    Descriptor* ring_;
    Event* driver_event_;
    Event* device_event_;
    std::vector<Chain> chains_; // By id.

    Place next_available_;
    Place next_used_;
    uint16_t unpublished_ = 0;
    Place first_unpublished_;
    uint16_t first_flags_ = 0; // Of the descriptor there, written last of all.
};

} // namespace tapline::bench
