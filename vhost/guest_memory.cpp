#include "vhost/guest_memory.h"

#include "vhost/protocol_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

namespace tapline::vhost {
namespace {

std::string name_of(const MemoryRegion& region) {
    return fmt::format("region of {:#x} bytes at guest address {:#x}", region.size,
                       region.guest_address);
}

[[noreturn]] void refuse(const MemoryRegion& region, const std::string& why) {
    throw ProtocolError(ProtocolFault::memory_region, fmt::format("{} {}", name_of(region), why));
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

std::shared_ptr<const GuestMemory> GuestMemory::with(const MemoryRegion& region, int fd) const {
    const std::shared_ptr<GuestMemory> memory(new GuestMemory(regions_));
    memory->add(region, fd);
    return memory;
}

std::shared_ptr<const GuestMemory> GuestMemory::without(const MemoryRegion& region) const {
    const std::shared_ptr<GuestMemory> memory(new GuestMemory(regions_));
    std::erase_if(memory->regions_, [&](const Region& known) { return known.is(region); });
    return memory;
}

bool GuestMemory::holds(const MemoryRegion& region) const noexcept {
    return std::ranges::any_of(regions_, [&](const Region& known) { return known.is(region); });
}

bool GuestMemory::Region::is(const MemoryRegion& region) const noexcept {
    return guest_address == region.guest_address && user_address == region.user_address &&
           size == region.size;
}

void GuestMemory::add(const MemoryRegion& region, int fd) {
    if (region.size == 0) {
        refuse(region, "is empty");
    }
    if (wraps_around(region.guest_address, region.size) ||
        wraps_around(region.user_address, region.size)) {
        refuse(region, "wraps around the address space");
    }
    if (regions_.size() == memory_slots_max) {
        refuse(region, fmt::format("is one more than {}", memory_slots_max));
    }
    for (const Region& other : regions_) {
        if (overlap(region.guest_address, region.size, other.guest_address, other.size) ||
            overlap(region.user_address, region.size, other.user_address, other.size)) {
            refuse(region, fmt::format("overlaps the one at {:#x}", other.guest_address));
        }
    }
    auto mapping = SharedMapping::map(name_of(region), fd, region.mmap_offset, region.size);
    const auto behind =
        std::ranges::upper_bound(regions_, region.guest_address, {}, &Region::guest_address);
    std::byte* host = mapping->bytes();
    regions_.insert(behind, {.guest_address = region.guest_address,
                             .user_address = region.user_address,
                             .size = region.size,
                             .host = host,
                             .mapping = std::move(mapping)});
}

const GuestMemory::Region* GuestMemory::region_of(uint64_t address) const noexcept {
    const auto behind = std::ranges::upper_bound(regions_, address, {}, &Region::guest_address);
    if (behind == regions_.begin()) {
        return nullptr;
    }
    const Region& found = *std::prev(behind);
    return address - found.guest_address < found.size ? &found : nullptr;
}

bool GuestMemory::append(uint64_t address, uint32_t length, IovecList& list,
                         Window& last) const noexcept {
    while (length > 0) { // At most once a region: each turn ends one or leaves.
        const Region* holder = region_of(address);
        if (holder == nullptr) {
            return false;
        }
        last = {.address = holder->guest_address, .size = holder->size, .host = holder->host};
        const uint64_t offset = address - last.address;
        const auto part = static_cast<uint32_t>(std::min<uint64_t>(length, last.size - offset));
        if (!list.append(last.host + offset, part)) {
            return false;
        }
        address += part;
        length -= part;
    }
    return true;
}

GuestMemory::GuestRange GuestMemory::range_at(const std::byte* host) const noexcept {
    for (const Region& region : regions_) {
        const uint64_t offset =
            reinterpret_cast<uintptr_t>(host) - reinterpret_cast<uintptr_t>(region.host);
        if (offset < region.size) {
            return {.address = region.guest_address + offset, .bytes = region.size - offset};
        }
    }
    return {};
}

std::byte* GuestMemory::at_guest_address(uint64_t address, uint64_t length) const noexcept {
    const Region* holder = region_of(address);
    if (holder == nullptr || length > holder->size - (address - holder->guest_address)) {
        return nullptr;
    }
    return holder->host + (address - holder->guest_address);
}

std::byte* GuestMemory::at_user_address(uint64_t address, uint64_t length) const noexcept {
    for (const Region& region : regions_) {
        const uint64_t offset = address - region.user_address;
        if (offset < region.size && length <= region.size - offset) {
            return region.host + offset;
        }
    }
    return nullptr;
}

} // namespace tapline::vhost
