#include "vhost/guest_memory.h"

#include "vhost/protocol_error.h"
#include "vhost/revoked_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <string>
#include <system_error>

namespace tapline::vhost {
namespace {

constexpr uint64_t small_page = 4096;

[[noreturn]] void refuse(const MemoryRegion& region, const std::string& why) {
    throw ProtocolError(ProtocolFault::memory_region,
                        fmt::format("region of {:#x} bytes at guest address {:#x} {}", region.size,
                                    region.guest_address, why));
}

bool wraps_around(uint64_t begin, uint64_t size) {
    return begin + size < begin;
}

bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size) {
    return a < b + b_size && b < a + a_size;
}

} // namespace

std::shared_ptr<const GuestMemory> GuestMemory::map(std::span<const MemoryRegion> regions,
                                                    std::span<const UniqueFd> fds) {
    const std::shared_ptr<GuestMemory> memory(new GuestMemory);
    for (size_t i = 0; i < regions.size(); ++i) {
        memory->add(regions[i], fds[i].get());
    }
    return memory;
}

GuestMemory::~GuestMemory() {
    for (const Region& region : regions_) {
        unwatch_mapping(region.mapping);
        munmap(region.mapping, region.mapping_bytes);
    }
}

void GuestMemory::add(const MemoryRegion& region, int fd) {
    if (region.size == 0) {
        refuse(region, "is empty");
    }
    if (wraps_around(region.guest_address, region.size) ||
        wraps_around(region.user_address, region.size) ||
        wraps_around(region.mmap_offset, region.size)) {
        refuse(region, "wraps around the address space");
    }
    for (const Region& other : regions_) {
        if (overlap(region.guest_address, region.size, other.guest_address, other.size) ||
            overlap(region.user_address, region.size, other.user_address, other.size)) {
            refuse(region, fmt::format("overlaps the one at {:#x}", other.guest_address));
        }
    }
    struct stat file {};
    if (fstat(fd, &file) < 0 || !S_ISREG(file.st_mode)) {
        refuse(region, "comes with a descriptor that is no file");
    }
    if (region.mmap_offset + region.size > static_cast<uint64_t>(file.st_size)) {
        refuse(region, fmt::format("at offset {:#x} lies outside its file of {:#x} bytes",
                                   region.mmap_offset, file.st_size));
    }
    // A hugetlbfs file tells its page as block size; a mapping begins and ends on one.
    const auto block = static_cast<uint64_t>(file.st_blksize);
    const uint64_t page = std::has_single_bit(block) ? std::max(block, small_page) : small_page;
    const uint64_t begin = region.mmap_offset / page * page;
    const uint64_t end = (region.mmap_offset + region.size + page - 1) / page * page;
    void* mapping = mmap(nullptr, end - begin, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                         fd, static_cast<off_t>(begin));
    if (mapping == MAP_FAILED) {
        refuse(region, fmt::format("cannot be mapped: {}", std::generic_category().message(errno)));
    }
    auto* bytes = static_cast<std::byte*>(mapping);
    watch_mapping({.begin = bytes, .size = end - begin});
    regions_.push_back({.guest_address = region.guest_address,
                        .user_address = region.user_address,
                        .size = region.size,
                        .host = bytes + (region.mmap_offset - begin),
                        .mapping = bytes,
                        .mapping_bytes = end - begin});
}

bool GuestMemory::append(uint64_t address, uint32_t length, IovecList& list) const noexcept {
    while (length > 0) { // At most once a region: each turn ends one or leaves.
        const auto holder = std::ranges::find_if(regions_, [&](const Region& region) {
            return address - region.guest_address < region.size;
        });
        if (holder == regions_.end()) {
            return false;
        }
        const uint64_t offset = address - holder->guest_address;
        const auto part = static_cast<uint32_t>(std::min<uint64_t>(length, holder->size - offset));
        if (!list.append(holder->host + offset, part)) {
            return false;
        }
        address += part;
        length -= part;
    }
    return true;
}

std::byte* GuestMemory::at(uint64_t Region::*base, uint64_t address,
                           uint64_t length) const noexcept {
    for (const Region& region : regions_) {
        const uint64_t offset = address - region.*base;
        if (offset < region.size && length <= region.size - offset) {
            return region.host + offset;
        }
    }
    return nullptr;
}

std::byte* GuestMemory::at_guest_address(uint64_t address, uint64_t length) const noexcept {
    return at(&Region::guest_address, address, length);
}

std::byte* GuestMemory::at_user_address(uint64_t address, uint64_t length) const noexcept {
    return at(&Region::user_address, address, length);
}

} // namespace tapline::vhost
