// The driver's side of one split virtqueue, written from virtio 1.2, 2.7. Its tables are open to
// tests that want to break the rules.
#pragma once

#include "tests/fakes/driver_ring.h"
#include "tests/fakes/guest_ram.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tapline::fakes {

class SplitDriverRing final : public DriverRing {
public:
    struct Descriptor {
        uint64_t address;
        uint32_t length;
        uint16_t flags;
        uint16_t next;
    };
    static constexpr uint16_t next_flag = 1;
    static constexpr uint16_t write_flag = 2;
    static constexpr uint16_t indirect_flag = 4;

    // start: what all indices count from.
    SplitDriverRing(GuestRam& ram, uint16_t size, bool event_index, uint16_t start = 0);

    std::optional<uint16_t> add(std::span<const Buffer> chain,
                                Layout layout = Layout::direct) override;
    bool kick_is_wanted() override;
    std::optional<Used> next_used() override;
    bool enable_calls() override;
    void disable_calls() override;
    uint16_t size() const override { return size_; }
    uint32_t first_base() const override { return start_; }
    uint32_t base() const override { return next_used_; }
    vhost::VringAddresses addresses(uint32_t index) const override;

    // Puts any head into the available ring.
    void add_head(uint16_t head);
    std::span<Descriptor> table() { return {table_, size_}; }
    uint16_t available_index() const;
    void set_available_index(uint16_t index);

private:
    GuestRam& ram_;
    const uint16_t size_;
    const bool event_index_;
    const uint16_t start_;
    uint64_t table_at_;
    uint64_t available_at_;
    uint64_t used_at_;
    Descriptor* table_;
    uint16_t* available_; // flags, index, heads, used_event
    uint16_t* used_;      // flags, index, elements of 8 bytes, avail_event
    std::vector<uint16_t> free_;
    std::vector<std::vector<uint16_t>> chains_; // By head: the descriptors it takes.
    std::vector<uint64_t> tables_;              // By head: an indirect table's place.
    uint16_t next_used_;
    uint16_t kicked_; // The available index at the last question.
};

} // namespace tapline::fakes
