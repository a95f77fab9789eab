#include "vhost/ring_memory.h"

#include "vhost/features.h"
#include "vhost/protocol_error.h"

#include <fmt/format.h>

#include <algorithm>

namespace tapline::vhost {
namespace {

[[noreturn]] void refuse(const RingPart& part, const std::string& why) {
    throw ProtocolError(ProtocolFault::ring_address,
                        fmt::format("{} at {:#x} {}", part.name, part.address, why));
}

std::byte* find_part(const GuestMemory& memory, const Iotlb* iotlb, const RingPart& part,
                     std::unique_ptr<const RingView>& view) {
    std::byte* found = nullptr;
    if (iotlb == nullptr) {
        found = memory.at_user_address(part.address, part.bytes);
    } else if (part.bytes <= ~part.address) {
        found = iotlb->at(part.address, part.bytes, part.access);
        if (found == nullptr) {
            view = RingView::map(*iotlb, part.address, part.bytes, part.access);
            found = view->bytes();
        }
    }
    if (found == nullptr) {
        refuse(part, "lies outside the shared memory");
    }
    if (reinterpret_cast<uintptr_t>(found) % part.alignment != 0) {
        refuse(part, "is not aligned");
    }
    return found;
}

using GuestRanges = std::vector<GuestMemory::GuestRange>;

// host: where it lies without an IOMMU.
GuestRanges guest_ranges(const GuestMemory& memory, const Iotlb* iotlb, const RingPart& part,
                         std::byte* host) {
    GuestRanges ranges;
    for (uint64_t done = 0; done < part.bytes;) {
        const uint64_t at = part.address + done;
        const auto piece = iotlb != nullptr ? iotlb->find(at, part.access) : GuestMemory::Window{};
        auto range =
            memory.range_at(iotlb != nullptr ? iotlb->at(at, 1, part.access) : host + done);
        range.bytes = std::min(range.bytes, part.bytes - done);
        if (iotlb != nullptr) {
            range.bytes = std::min(range.bytes, piece.size - (at - piece.address));
        }
        if (range.bytes == 0) {
            break;
        }
        ranges.push_back(range);
        done += range.bytes;
    }
    return ranges;
}

// By guest physical addresses: behind an IOMMU the same page may be mapped at several places.
bool lie_apart(const GuestRanges& part, const GuestRanges& other) {
    return std::ranges::none_of(part, [&](const auto& a) {
        return std::ranges::any_of(other, [&](const auto& b) {
            return a.address < b.address + b.bytes && b.address < a.address + a.bytes;
        });
    });
}

} // namespace

// virtio 1.2, 2.7 and 2.8. The driver area and the device area of a packed ring come in the
// messages' fields for available and used ring.
RingParts ring_parts(const Vring& vring, uint64_t features) {
    const VringAddresses& at = *vring.addresses;
    const uint64_t size = vring.size;
    if (has(features, Feature::ring_packed)) {
        return {{{"the descriptor ring", at.descriptors, 16 * size, 16, Access::both},
                 {"the driver area", at.available, 4, 4, Access::read},
                 {"the device area", at.used, 4, 4, Access::both}}};
    }
    const uint64_t event = has(features, Feature::event_idx) ? sizeof(uint16_t) : 0;
    return {{{"the descriptor table", at.descriptors, 16 * size, 16, Access::read},
             {"the available ring", at.available, 4 + 2 * size + event, 2, Access::read},
             {"the used ring", at.used, 4 + 8 * size + event, 4, Access::both}}};
}

std::vector<IotlbMiss> untranslated(const RingParts& parts, const Iotlb& iotlb) {
    std::vector<IotlbMiss> missing;
    for (const RingPart& part : parts) {
        for (uint64_t offset = 0; offset < part.bytes;) {
            const uint64_t at = part.address + offset;
            if (iotlb.find(at, part.access).size == 0) {
                missing.push_back({.address = at, .access = part.access});
            }
            offset += IotlbMiss::page - at % IotlbMiss::page;
        }
    }
    return missing;
}

bool overlaps(const RingParts& parts, const IovaRange& range) {
    return std::ranges::any_of(parts, [&](const RingPart& part) {
        return range.overlaps({.first = part.address, .last = part.address + part.bytes - 1});
    });
}

bool knows(const Iotlb& iotlb, const RingParts& parts, const IotlbMessage& update,
           const std::byte* host) {
    return std::ranges::all_of(parts, [&](const RingPart& part) {
        const uint64_t end =
            std::min(part.address + part.bytes - 1, update.address + update.size - 1);
        for (uint64_t at = std::max(part.address, update.address); at <= end;) {
            const auto window = iotlb.find(at, part.access);
            if (!allows(update.access, part.access) || window.size == 0 ||
                window.at(at) != host + (at - update.address)) {
                return false;
            }
            const uint64_t left = window.size - (at - window.address);
            if (left > end - at) {
                break;
            }
            at += left;
        }
        return true;
    });
}

bool lies_in(const RingParts& parts, const GuestMemory& memory) {
    return std::ranges::all_of(parts, [&](const RingPart& part) {
        return memory.at_user_address(part.address, part.bytes) != nullptr;
    });
}

RingPlace find_ring(const GuestMemory& memory, const Iotlb* iotlb, const RingParts& parts) {
    RingPlace place{};
    for (size_t i = 0; i < parts.size(); ++i) {
        place.parts[i] = find_part(memory, iotlb, parts[i], place.views[i]);
        place.guest_ranges[i] = guest_ranges(memory, iotlb, parts[i], place.parts[i]);
        for (size_t before = 0; before < i; ++before) {
            if (!lie_apart(place.guest_ranges[before], place.guest_ranges[i])) {
                refuse(parts[i], fmt::format("overlaps {}", parts[before].name));
            }
        }
    }
    return place;
}

} // namespace tapline::vhost
