// What the front end's IOMMU has told of where I/O virtual addresses lie in the guest's memory.
// Immutable once made, so every thread may read it; a change makes another one.
#pragma once

#include "vhost/guest_memory.h"
#include "vhost/protocol.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace tapline::vhost {

struct IovaRange {
    uint64_t first;
    uint64_t last;

    // Of size bytes; none at all wrap to all of them, as they do for the kernel. Throws
    // ProtocolError for any other that wraps around.
    static IovaRange of(uint64_t address, uint64_t size);
    bool overlaps(const IovaRange& other) const noexcept {
        return first <= other.last && other.first <= last;
    }
};

class Iotlb {
public:
    // A change to a full one forgets all others: they can be asked for again.
    static constexpr size_t mappings_max = 4096;

    // Knows nothing yet.
    static std::shared_ptr<const Iotlb> make(std::shared_ptr<const GuestMemory> memory);
    // This and what an update tells, which takes the place of what was told of its addresses
    // before. Throws ProtocolError where it makes no sense.
    std::shared_ptr<const Iotlb> with(const IotlbMessage& update) const;
    std::shared_ptr<const Iotlb> without(const IovaRange& range) const;

    // What follows address in guest memory, too, and may be used so; empty where that is unknown.
    GuestMemory::Window find(uint64_t address, Access wanted) const noexcept;
    // The same of so many bytes in a row, at least one; null where they are not.
    std::byte* at(uint64_t address, uint64_t bytes, Access wanted) const noexcept {
        const GuestMemory::Window window = find(address, wanted);
        return window.holds(address, bytes) ? window.at(address) : nullptr;
    }
    size_t size() const { return mappings_.size(); }
    // Tells tables apart that were made one from the other.
    uint64_t generation() const { return generation_; }

private:
    struct Mapping {
        uint64_t address;
        uint64_t size;
        std::byte* host;
        Access access;

        uint64_t last() const { return address + (size - 1); }
        bool continues(const Mapping& before) const noexcept;
    };

    Iotlb(std::shared_ptr<const GuestMemory> memory, uint64_t generation)
        : memory_(std::move(memory)), generation_(generation) {}
    std::shared_ptr<Iotlb> copy_without(const IovaRange& range) const;
    void insert(const Mapping& mapping);

    const std::shared_ptr<const GuestMemory> memory_; // Null: none is shared yet.
    const uint64_t generation_;
    std::vector<Mapping> mappings_; // By address.
};

} // namespace tapline::vhost
