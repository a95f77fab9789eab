// The device side of a packed virtqueue (virtio 1.2, 2.8): one ring of descriptors that both sides
// write, each lap told from the last by a wrap counter.
#pragma once

#include "backend/base/byte_order.h"
#include "vhost/ring_memory.h"
#include "vhost/virtqueue.h"

namespace tapline::vhost {

class ChainWalk;

class PackedVirtqueue final : public Virtqueue {
public:
    PackedVirtqueue(const Vring& vring, std::shared_ptr<const GuestMemory> memory,
                    uint64_t features, const Iotlb* iotlb);

    bool peek(IovecList& parts, Chain& chain) noexcept override;
    size_t peek(IovecList& parts, std::span<Chain> chains) noexcept override;
    void rewind() noexcept override;
    size_t available(size_t max) noexcept override;
    size_t place(std::span<Delivery> deliveries) noexcept override;
    void complete(const Chain& chain, uint32_t written) noexcept override;
    void complete_unwritten(std::span<const Chain> chains) noexcept override;
    bool publish() noexcept override;
    bool enable_kicks() noexcept override;
    void disable_kicks() noexcept override;
    uint32_t base() const noexcept override;

private:
    struct Descriptor { // 2.8.13
        Le64 address;
        Le32 length;
        Le16 id;
        uint16_t flags; // Little-endian, through load_index() and store_index() only.
    };
    struct EventSuppression { // 2.8.14
        uint16_t position;    // Both as flags above.
        uint16_t flags;
    };
    struct Position {
        uint16_t index;
        bool wrap; // Of this lap.

        static Position unpack(uint16_t packed);
        uint16_t pack() const;
    };

    Position first_position(const std::optional<uint32_t>& base) const;
    Position advanced(Position from, uint16_t slots) const noexcept;
    bool is_available(Position at) const noexcept;
    void give_back(Position at, uint16_t id, uint32_t written, bool first) noexcept;
    bool next_chain(IovecList& parts, Chain& chain) noexcept;
    size_t place_run(std::span<Delivery> deliveries) noexcept;
    size_t peek_singles(IovecList& parts, std::span<Chain> chains) noexcept;
    bool follow(Descriptor first, IovecList& parts, Chain& chain) noexcept;
    RingFault append(ChainWalk& walk, const Descriptor& descriptor) noexcept;
    RingFault follow_indirect(ChainWalk& walk, const Descriptor& descriptor) noexcept;

    const RingPlace place_;
    Descriptor* ring_;
    const EventSuppression* driver_event_;
    EventSuppression* device_event_;

    Position next_;              // Of the first chain that is not complete: there it is returned.
    Position cursor_;            // Of the chain that peek() returns next.
    uint16_t peeked_ = 0;        // Slots from next_ to cursor_.
    Position published_;         // What the driver has been shown ends here.
    uint16_t unpublished_ = 0;   // Slots from published_ to next_.
    uint16_t first_flags_ = 0;   // Of the first unpublished descriptor: they show all the others.
    bool call_undecided_ = true; // Nothing was published yet.
};

} // namespace tapline::vhost
