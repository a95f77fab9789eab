// The device side of a split virtqueue (virtio 1.2, 2.7). Chains are taken and returned in the
// order the driver made them available, so one index tells all of the state.
//
// The guest may rewrite any of this memory at any time: each field is loaded once into a local,
// the local is checked, the local is used. Used by one thread at a time.
#pragma once

#include "backend/base/byte_order.h"
#include "vhost/guest_memory.h"
#include "vhost/iovec_list.h"
#include "vhost/vring.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace tapline::vhost {

// Why a queue takes no more chains: the driver broke the ring's rules and nothing behind it can
// be trusted. Until the driver resets the queue it stays as it is.
enum class RingFault : uint8_t {
    none,
    available_index, // Moved further than the ring is long.
    head_out_of_range,
    next_out_of_range,
    chain_too_long, // A loop, or more parts than one system call takes.
    descriptor_outside_memory,
    indirect_table, // Not negotiated, nested, empty, ragged or outside memory.
    readable_after_writable,
};
constexpr size_t ring_fault_count = static_cast<size_t>(RingFault::readable_after_writable) + 1;
const char* to_text(RingFault fault);

struct Chain {
    uint16_t head;
    std::span<iovec> readable; // What the driver sends; valid until the list is cleared.
    std::span<iovec> writable; // Where it wants to receive.
    size_t readable_bytes;
    size_t writable_bytes;
};

// Parts one chain may have: what one readv or writev takes (UIO_MAXIOV).
constexpr size_t chain_parts_max = 1024;

class SplitVirtqueue {
public:
    // Throws ProtocolError unless the ring's three parts are aligned and lie in guest memory.
    SplitVirtqueue(const Vring& vring, std::shared_ptr<const GuestMemory> memory,
                   uint64_t features);

    // Chains waiting to be taken. 0 once broken.
    uint16_t available() noexcept;

    // The chain `ahead` places behind the next, left in the ring; its parts are added to parts.
    // Needs ahead < available() and room for chain_parts_max. False: the queue is broken.
    bool peek(uint16_t ahead, IovecList& parts, Chain& chain) noexcept;

    // Takes the next chain off and gives it back with so many bytes written, unseen by the driver
    // until publish(). Works on what peek() returned, in its order.
    void complete(const Chain& chain, uint32_t written) noexcept;

    // Shows the driver all that is complete. True: it wants to be called.
    bool publish() noexcept;

    // Asks for a kick at the first chain that available() has not told of. True: one came before
    // that, so there may be no kick.
    bool enable_kicks() noexcept;
    void disable_kicks() noexcept;

    uint16_t size() const { return size_; }
    uint16_t next_available() const { return next_available_; }
    RingFault fault() const { return fault_; }

private:
    struct Descriptor { // virtio 1.2, 2.7.5
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

    struct Walk; // A chain while its descriptors are followed.

    bool breaks(RingFault fault) noexcept;
    bool follow(Walk& walk, const Descriptor* table, uint32_t entries, uint16_t first) noexcept;
    bool follow_indirect(Walk& walk, const Descriptor& descriptor) noexcept;
    bool append(Walk& walk, const Descriptor& descriptor) noexcept;

    std::shared_ptr<const GuestMemory> memory_;
    uint16_t mask_;
    uint16_t size_;
    bool event_index_;
    bool indirect_;

    const Descriptor* descriptors_;
    const Index* available_;
    const uint16_t* available_ring_; // [size] heads, then used_event.
    Index* used_;
    UsedElement* used_ring_;
    uint16_t* available_event_;

    uint16_t next_available_;    // Where the next chain is taken.
    uint16_t seen_available_;    // The driver's index when last loaded.
    uint16_t next_used_;         // Where the next element goes.
    uint16_t published_used_;    // What the driver has been shown.
    bool call_undecided_ = true; // Nothing was published yet: used_event says nothing.
    RingFault fault_ = RingFault::none;
};

} // namespace tapline::vhost
