// The device side of a split virtqueue (virtio 1.2, 2.7).
#pragma once

#include "backend/base/byte_order.h"
#include "vhost/ring_memory.h"
#include "vhost/virtqueue.h"

namespace tapline::vhost {

class ChainWalk;

class SplitVirtqueue final : public Virtqueue {
public:
    SplitVirtqueue(const Vring& vring, std::shared_ptr<const GuestMemory> memory, uint64_t features,
                   const Iotlb* iotlb);

    bool peek(IovecList& parts, Chain& chain) noexcept override;
    size_t peek(IovecList& parts, std::span<Chain> chains) noexcept override;
    void rewind() noexcept override { cursor_ = next_available_; }
    size_t available(size_t max) noexcept override;
    size_t place(std::span<Delivery> deliveries) noexcept override;
    void complete(const Chain& chain, uint32_t written) noexcept override;
    void complete_unwritten(std::span<const Chain> chains) noexcept override;
    bool publish() noexcept override;
    bool enable_kicks() noexcept override;
    void disable_kicks() noexcept override;
    uint32_t base() const noexcept override { return next_available_; }

private:
    struct Descriptor { // 2.7.5
        Le64 address;
        Le32 length;
        Le16 flags;
        Le16 next;
    };
    struct Index {      // The head of the available and of the used ring: 2.7.6, 2.7.8
        uint16_t flags; // Both little-endian, through load_index() and store_index() only.
        uint16_t index;
    };
    struct UsedElement {
        Le32 id;
        Le32 length;
    };

    bool look_for_more() noexcept;
    size_t place_run(std::span<Delivery> deliveries, const uint16_t* heads,
                     UsedElement* used) const noexcept;
    size_t peek_singles(IovecList& parts, std::span<Chain> chains) noexcept;
    struct Table {
        const Descriptor* entries;
        uint32_t count;
        bool indirect; // Not the ring's own; yet it may lie at the same place.
    };
    bool next_chain(IovecList& parts, Chain& chain) noexcept;
    bool follow(Descriptor first, IovecList& parts, Chain& chain) noexcept;
    RingFault follow(ChainWalk& walk, const Table& table, Descriptor first) noexcept;
    RingFault follow_indirect(ChainWalk& walk, const Descriptor& descriptor) noexcept;

    const uint16_t mask_;
    const RingPlace place_;
    const Descriptor* descriptors_;
    const Index* available_;
    const uint16_t* available_ring_; // [size] heads, then used_event.
    Index* used_;
    UsedElement* used_ring_;
    uint16_t* available_event_;

    uint16_t next_available_;    // Of the first chain that is not complete.
    uint16_t cursor_;            // Of the chain that peek() returns next.
    uint16_t seen_available_;    // The driver's index when last loaded.
    uint16_t next_used_;         // Where the next element goes.
    uint16_t published_used_;    // What the driver has been shown.
    bool call_undecided_ = true; // Nothing was published yet: used_event says nothing.
};

} // namespace tapline::vhost
