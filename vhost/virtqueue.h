// The device side of one virtqueue, split or packed. Chains are taken and returned in the order
// the driver made them available, so one position tells all of the state.
//
// The guest may rewrite any of this memory at any time: each field is loaded once into a local,
// the local is checked, the local is used. Used by one thread at a time.
#pragma once

#include "vhost/device_addresses.h"
#include "vhost/dirty_log.h"
#include "vhost/guest_memory.h"
#include "vhost/iotlb.h"
#include "vhost/iovec_list.h"
#include "vhost/translation_port.h"
#include "vhost/vring.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

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

struct alignas(64) Chain {     // A cache line.
    uint16_t id;               // What the driver knows it by.
    uint16_t slots;            // Places it takes in the ring.
    std::span<iovec> readable; // What the driver sends; valid until the list is cleared.
    std::span<iovec> writable; // Where it wants to receive.
    size_t readable_bytes;
    size_t writable_bytes;
};
static_assert(sizeof(Chain) == 64);

struct Delivery {
    uint32_t bytes;
    std::byte* place; // In guest memory.
};

class Virtqueue {
public:
    // In the layout the features ask for. Throws ProtocolError unless the ring's parts are aligned
    // and lie apart in guest memory. iotlb: null where there is no IOMMU; else it tells where the
    // ring lies, which is not to change, and outlives this or the next translate_with().
    static std::unique_ptr<Virtqueue> make(const Vring& vring,
                                           std::shared_ptr<const GuestMemory> memory,
                                           uint64_t features, const Iotlb* iotlb = nullptr);
    virtual ~Virtqueue() = default;
    Virtqueue(const Virtqueue&) = delete;
    Virtqueue& operator=(const Virtqueue&) = delete;

    // The next chain, left in the ring; its parts are added to parts, which need room for
    // chain_parts_max. False: none is available, the queue is broken, or it waits for a
    // translation.
    virtual bool peek(IovecList& parts, Chain& chain) noexcept = 0;
    // As many as there are and parts have room for. Returns their number.
    virtual size_t peek(IovecList& parts, std::span<Chain> chains) noexcept = 0;
    // peek() begins again with the first chain that is not complete.
    virtual void rewind() noexcept = 0;

    // How many chains the driver has made available and that are not complete, or some fewer: no
    // more are counted than max.
    virtual size_t available(size_t max) noexcept = 0;
    // Begins again as rewind() does. Completes the next chains, one a delivery, and says where its
    // bytes shall be before publish(), as long as chains are what most are: one buffer, long
    // enough. Returns how many are.
    virtual size_t place(std::span<Delivery> deliveries) noexcept = 0;

    // Takes the next chain off and gives it back with so many bytes written, unseen by the driver
    // until publish(). Works on what peek() returned, in its order.
    virtual void complete(const Chain& chain, uint32_t written) noexcept = 0;
    // The same for several at once, with nothing written.
    virtual void complete_unwritten(std::span<const Chain> chains) noexcept = 0;

    // Shows the driver all that is complete. True: it wants to be called.
    virtual bool publish() noexcept = 0;

    // Asks for a kick at the chain behind those that peek() returned. True: it is there already,
    // so there may be no kick.
    virtual bool enable_kicks() noexcept = 0;
    virtual void disable_kicks() noexcept = 0;

    // Where another queue on the same ring goes on, as SET_VRING_BASE takes it.
    virtual uint32_t base() const noexcept = 0;

    // From here on finds buffers by this table, and reports those it does not tell of.
    void translate_with(const Iotlb& iotlb, TranslationPort& port) noexcept;
    // The next chain's memory is yet to be told by another table.
    bool awaits_translation() const { return halted_ && fault_ == RingFault::none; }

    // From here on marks what it writes: frames, and the ring where the front end wants that, too.
    void log_to(std::shared_ptr<const DirtyLog> log) noexcept;

    uint16_t size() const { return size_; }
    RingFault fault() const { return fault_; }

protected:
    Virtqueue(const Vring& vring, std::shared_ptr<const GuestMemory> memory, uint64_t features,
              const Iotlb* iotlb);

    bool breaks(RingFault fault) noexcept {
        fault_ = fault;
        halted_ = true;
        return false;
    }
    bool awaits_another_table() noexcept {
        halted_ = true;
        return false;
    }

    void log_chain(const Chain& chain, uint32_t written) const noexcept;
    void log_ring() const noexcept;

    DeviceAddresses addresses_;
    const uint16_t size_;
    const bool event_index_;
    const bool indirect_;
    RingFault fault_ = RingFault::none;
    bool halted_ = false;                 // By a fault, or until there is a translation.
    std::shared_ptr<const DirtyLog> log_; // Mostly none.

    // The parts of the ring that the device writes.
    std::vector<GuestMemory::GuestRange> written_parts_;

private:
    const bool ring_is_logged_;
};

} // namespace tapline::vhost
