// The driver's side of one virtqueue, whatever its layout.
#pragma once

#include "vhost/protocol.h"

#include <cstdint>
#include <optional>
#include <span>

namespace tapline::fakes {

struct Buffer {
    uint64_t address; // Guest physical.
    uint32_t length;
    bool writable;
};

struct Used {
    uint32_t id; // What add() returned.
    uint32_t length;
};

class DriverRing {
public:
    enum class Layout { direct, indirect };

    virtual ~DriverRing() = default;

    // Makes a chain available; nothing where the ring has not so many free descriptors.
    virtual std::optional<uint16_t> add(std::span<const Buffer> chain,
                                        Layout layout = Layout::direct) = 0;
    // Whether the device asked for a kick for what was added since the last question.
    virtual bool kick_is_wanted() = 0;

    virtual std::optional<Used> next_used() = 0;
    // Asks for a call at the next used chain. False: one is there already.
    virtual bool enable_calls() = 0;
    virtual void disable_calls() = 0;

    virtual uint16_t size() const = 0;
    virtual uint32_t first_base() const = 0; // For SET_VRING_BASE.
    // The same for a device that goes on where another stopped; all that is used was taken back.
    virtual uint32_t base() const = 0;
    virtual vhost::VringAddresses addresses(uint32_t index) const = 0;
};

constexpr size_t indirect_entries_max = 64; // Of the tables a driver here makes.

} // namespace tapline::fakes
