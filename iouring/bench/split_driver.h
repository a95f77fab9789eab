// The driver's side of a split virtqueue (virtio 1.2, 2.7).
#pragma once

#include "backend/base/byte_order.h"
#include "iouring/bench/driver_ring.h"

namespace tapline::bench {

class SplitDriver final : public DriverRing {
public:
    SplitDriver(GuestRam& ram, uint16_t size, bool event_index);

    void define(uint16_t id, std::span<const Part> parts, Access access) override;
    void add(uint16_t id) noexcept override;
    bool publish() noexcept override;
    bool next_used(Used& used) noexcept override;
    bool ask_for_call(uint16_t after) noexcept override;
    vhost::VringAddresses addresses(uint32_t index) const override;
    uint32_t base() const override { return 0; }

private:
    struct Descriptor {
        Le64 address;
        Le32 length;
        Le16 flags;
        Le16 next;
    };
    struct UsedElement {
        Le32 id;
        Le32 length;
    };

    GuestRam& ram_;
    const uint16_t mask_;
    const uint64_t table_at_;
    const uint64_t available_at_;
    const uint64_t used_at_;
    Descriptor* table_;
    uint16_t* available_; // flags, index, heads, used_event
    uint16_t* used_;      // flags, index, elements, avail_event
    UsedElement* elements_;

    uint16_t next_available_ = 0;
    uint16_t published_ = 0;
    uint16_t next_used_ = 0;
    uint16_t seen_used_ = 0;
};

} // namespace tapline::bench
