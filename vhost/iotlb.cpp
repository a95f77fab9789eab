#include "vhost/iotlb.h"

#include "vhost/protocol_error.h"

#include <fmt/format.h>

#include <algorithm>

namespace tapline::vhost {
IovaRange IovaRange::of(uint64_t address, uint64_t size) {
    const uint64_t last = address + size - 1;
    if (last < address) {
        throw ProtocolError(
            ProtocolFault::bad_value,
            fmt::format("{:#x} bytes at I/O virtual address {:#x} wrap around", size, address));
    }
    return {.first = address, .last = last};
}

bool Iotlb::Mapping::continues(const Mapping& before) const noexcept {
    return address - before.address == before.size && before.host + before.size == host &&
           before.access == access;
}

std::shared_ptr<const Iotlb> Iotlb::make(std::shared_ptr<const GuestMemory> memory) {
    return std::shared_ptr<const Iotlb>(new Iotlb(std::move(memory), 0));
}

std::shared_ptr<const Iotlb> Iotlb::with(const IotlbMessage& update) const {
    if (update.size == 0 || update.access < Access::read || update.access > Access::both) {
        throw ProtocolError(ProtocolFault::bad_value,
                            fmt::format("{:#x} bytes with access {} are nothing to map",
                                        update.size, static_cast<unsigned>(update.access)));
    }
    const auto range = IovaRange::of(update.address, update.size);
    std::byte* const host =
        memory_ ? memory_->at_user_address(update.user_address, update.size) : nullptr;
    if (host == nullptr) {
        throw ProtocolError(ProtocolFault::memory_region,
                            fmt::format("I/O virtual address {:#x} is mapped to {:#x} bytes at "
                                        "{:#x}, outside the shared memory",
                                        update.address, update.size, update.user_address));
    }
    auto changed = copy_without(range);
    if (changed->mappings_.size() >= mappings_max) {
        changed->mappings_.clear();
    }
    changed->insert(
        {.address = update.address, .size = update.size, .host = host, .access = update.access});
    return changed;
}

std::shared_ptr<const Iotlb> Iotlb::without(const IovaRange& range) const {
    return copy_without(range);
}

std::shared_ptr<Iotlb> Iotlb::copy_without(const IovaRange& range) const {
    const std::shared_ptr<Iotlb> copy(new Iotlb(memory_, generation_ + 1));
    copy->mappings_.reserve(mappings_.size() + 2);
    for (const Mapping& mapping : mappings_) {
        if (!range.overlaps({.first = mapping.address, .last = mapping.last()})) {
            copy->mappings_.push_back(mapping);
            continue;
        }
        if (mapping.address < range.first) {
            Mapping before = mapping;
            before.size = range.first - mapping.address;
            copy->mappings_.push_back(before);
        }
        if (mapping.last() > range.last) {
            Mapping behind = mapping;
            behind.address = range.last + 1;
            behind.size = mapping.last() - range.last;
            behind.host += behind.address - mapping.address;
            copy->mappings_.push_back(behind);
        }
    }
    return copy;
}

// Between its neighbours, as one with those it continues: an identity in pieces becomes one.
void Iotlb::insert(const Mapping& mapping) {
    auto behind = std::ranges::upper_bound(mappings_, mapping.address, {}, &Mapping::address);
    auto place = mappings_.insert(behind, mapping);
    if (const auto next = std::next(place); next != mappings_.end() && next->continues(*place)) {
        place->size += next->size;
        place = std::prev(mappings_.erase(next));
    }
    if (place != mappings_.begin()) {
        if (const auto before = std::prev(place); place->continues(*before)) {
            before->size += place->size;
            mappings_.erase(place);
        }
    }
}

GuestMemory::Window Iotlb::find(uint64_t address, Access wanted) const noexcept {
    const auto behind = std::ranges::upper_bound(mappings_, address, {}, &Mapping::address);
    if (behind == mappings_.begin()) {
        return {};
    }
    const Mapping& found = *std::prev(behind);
    if (address - found.address >= found.size || !allows(found.access, wanted)) {
        return {};
    }
    return {.address = found.address, .size = found.size, .host = found.host};
}

} // namespace tapline::vhost
