// The guest's memory as the front end shared it: mapped files and the translation of addresses.
// Immutable once made, so every thread may read it.
#pragma once

#include "backend/base/unique_fd.h"
#include "vhost/iovec_list.h"
#include "vhost/protocol.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace tapline::vhost {

class GuestMemory {
public:
    // fds[i] holds regions[i]. Throws ProtocolError for regions that are empty, overlap, wrap
    // around or lie outside their file, and for files that cannot be mapped.
    static std::shared_ptr<const GuestMemory> map(std::span<const MemoryRegion> regions,
                                                  std::span<const UniqueFd> fds);
    ~GuestMemory();
    GuestMemory(const GuestMemory&) = delete;
    GuestMemory& operator=(const GuestMemory&) = delete;

    // Adds guest physical [address, address + length) to list; false where a byte of it is no
    // guest memory or the list is full.
    bool append(uint64_t address, uint32_t length, IovecList& list) const noexcept;

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
        std::byte* mapping;
        size_t mapping_bytes;
    };

    GuestMemory() = default;
    void add(const MemoryRegion& region, int fd);
    std::byte* at(uint64_t Region::*base, uint64_t address, uint64_t length) const noexcept;

    std::vector<Region> regions_;
};

} // namespace tapline::vhost
