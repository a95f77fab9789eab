// The guest's memory as the front end shared it: mapped files and the translation of addresses.
// Immutable once made, so every thread may read it; a change makes another one, which shares the
// mappings of regions that stay.
#pragma once

#include "backend/base/unique_fd.h"
#include "vhost/iovec_list.h"
#include "vhost/protocol.h"
#include "vhost/shared_mapping.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace tapline::vhost {

class GuestMemory {
public:
    // fds[i] holds regions[i]. Throws ProtocolError for regions that are empty, overlap, wrap
    // around or lie outside their file, and for files that cannot be mapped.
    static std::shared_ptr<const GuestMemory> map(std::span<const MemoryRegion> regions,
                                                  std::span<const UniqueFd> fds);
    // This and one region more, held by fd. Throws as map() does.
    std::shared_ptr<const GuestMemory> with(const MemoryRegion& region, int fd) const;
    // This but for the region with these addresses and this size.
    std::shared_ptr<const GuestMemory> without(const MemoryRegion& region) const;
    bool holds(const MemoryRegion& region) const noexcept; // With these addresses and this size.

    // Addresses of the device, guest physical or I/O virtual, that follow each other here too.
    struct Window {
        uint64_t address = 0;
        uint64_t size = 0;
        std::byte* host = nullptr; // Of address.

        // All of it, and that it is not empty.
        bool holds(uint64_t wanted, uint64_t length) const noexcept {
            const uint64_t offset = wanted - address;
            return length > 0 && has_room(offset, length);
        }
        bool has_room(uint64_t offset, uint64_t length) const noexcept {
            return offset < size && length <= size - offset;
        }
        std::byte* at(uint64_t wanted) const noexcept { return host + (wanted - address); }
    };

    // Adds guest physical [address, address + length) to list; false where a byte of it is no
    // guest memory or the list is full. last becomes the region where it ends.
    bool append(uint64_t address, uint32_t length, IovecList& list, Window& last) const noexcept;

    // What the guest calls a byte that one of these functions led to, and how many of its region
    // begin there.
    struct GuestRange {
        uint64_t address;
        uint64_t bytes; // 0: the byte is none of the guest's.
    };
    GuestRange range_at(const std::byte* host) const noexcept;

    // Guest physical [address, address + length) within one region, else nullptr.
    std::byte* at_guest_address(uint64_t address, uint64_t length) const noexcept;
    // Front-end virtual [address, address + length) within one region, else nullptr.
    std::byte* at_user_address(uint64_t address, uint64_t length) const noexcept;

private:
    struct Region {
        uint64_t guest_address;
        uint64_t user_address;
        uint64_t size;
        std::byte* host; // Of guest_address.
        std::shared_ptr<const SharedMapping> mapping;

        bool is(const MemoryRegion& region) const noexcept;
    };

    GuestMemory() = default;
    explicit GuestMemory(std::vector<Region> regions) : regions_(std::move(regions)) {}
    void add(const MemoryRegion& region, int fd);
    const Region* region_of(uint64_t address) const noexcept;

    std::vector<Region> regions_; // By guest address.
};

} // namespace tapline::vhost
