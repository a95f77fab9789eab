// The driver's side of one packed virtqueue, written from virtio 1.2, 2.8. Its ring is open to
// tests that want to break the rules.
#pragma once

#include "tests/fakes/driver_ring.h"
#include "tests/fakes/guest_ram.h"

#include <vector>

namespace tapline::fakes {

class PackedDriverRing final : public DriverRing {
public:
    struct Descriptor {
        uint64_t address;
        uint32_t length;
        uint16_t id;
        uint16_t flags;
    };
    static constexpr uint16_t next_flag = 1;
    static constexpr uint16_t write_flag = 2;
    static constexpr uint16_t indirect_flag = 4;
    static constexpr uint16_t available_flag = 1 << 7;
    static constexpr uint16_t used_flag = 1 << 15;

    PackedDriverRing(GuestRam& ram, uint16_t size, bool event_index);

    std::optional<uint16_t> add(std::span<const Buffer> chain,
                                Layout layout = Layout::direct) override;
    bool kick_is_wanted() override;
    std::optional<Used> next_used() override;
    bool enable_calls() override;
    void disable_calls() override;
    uint16_t size() const override { return size_; }
    uint32_t first_base() const override { return 0x80008000; } // Both wrap counters begin as 1.
    uint32_t base() const override {
        return (next_used_.index | (next_used_.wrap ? 0x8000u : 0u)) * 0x10001u;
    }
    vhost::VringAddresses addresses(uint32_t index) const override;

    // Makes these descriptors available as they are but for the flags that say so.
    void add_raw(std::span<const Descriptor> descriptors);
    std::span<Descriptor> ring() { return {ring_, size_}; }

private:
    struct Position {
        uint16_t index = 0;
        bool wrap = true;
    };
    struct Event { // 2.8.14
        uint16_t position;
        uint16_t flags;
    };

    void advance(Position& position, size_t slots) const;

    GuestRam& ram_;
    const uint16_t size_;
    const bool event_index_;
    uint64_t ring_at_;
    uint64_t driver_event_at_;
    uint64_t device_event_at_;
    Descriptor* ring_;
    Event* driver_event_;
    Event* device_event_;
    Position next_available_;
    Position next_used_;
    size_t free_slots_;
    size_t added_since_question_ = 0; // Slots.
    std::vector<uint16_t> free_ids_;
    std::vector<uint16_t> slots_of_; // By id; 0: not in flight.
    std::vector<uint64_t> tables_;   // By id: an indirect table's place.
};

} // namespace tapline::fakes
