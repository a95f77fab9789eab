// The driver's side of a virtqueue, as fast as a driver can be: its chains are laid out once and
// then only made available again. Used by one thread.
#pragma once

#include "iouring/bench/guest_ram.h"
#include "vhost/protocol.h"

#include <cstdint>
#include <memory>
#include <span>

namespace tapline::bench {

enum class RingLayout { split, packed };
const char* to_text(RingLayout layout);

class DriverRing {
public:
    struct Part {
        uint64_t address; // Guest physical.
        uint32_t length;
    };
    enum class Access : uint16_t { device_reads = 0, device_writes = 2 }; // VRING_DESC_F_WRITE
    struct Used {
        uint16_t id;
        uint32_t length;
    };

    static std::unique_ptr<DriverRing> make(RingLayout layout, GuestRam& ram, uint16_t size,
                                            uint64_t features);
    virtual ~DriverRing() = default;
    DriverRing(const DriverRing&) = delete;
    DriverRing& operator=(const DriverRing&) = delete;

    // What the chain of this number, below size(), consists of, before it is first added. Several
    // parts go into an indirect table.
    virtual void define(uint16_t id, std::span<const Part> parts, Access access) = 0;

    // A chain that is not in the device's hands.
    virtual void add(uint16_t id) noexcept = 0;
    // Shows the device what was added. True: it wants a kick.
    virtual bool publish() noexcept = 0;

    // A chain that the device gives back; its number is below size(), whatever the device says.
    virtual bool next_used(Used& used) noexcept = 0;
    // Asks for a call once so many more chains are used. False: they are already.
    virtual bool ask_for_call(uint16_t after) noexcept = 0;

    virtual vhost::VringAddresses addresses(uint32_t index) const = 0;
    virtual uint32_t base() const = 0; // For SET_VRING_BASE, of a ring that is new.
    uint16_t size() const { return size_; }

protected:
    DriverRing(uint16_t size, bool event_index) : size_(size), event_index_(event_index) {}

    const uint16_t size_;
    const bool event_index_;
};

} // namespace tapline::bench
