// Ring memory as both layouts need it: found and checked once, then read while the guest may
// rewrite it.
#pragma once

#include "backend/base/byte_order.h"
#include "vhost/guest_memory.h"
#include "vhost/iotlb.h"
#include "vhost/ring_view.h"
#include "vhost/translation_port.h"
#include "vhost/vring.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

namespace tapline::vhost {

inline uint16_t load_index(const uint16_t& field, std::memory_order order) noexcept {
    // std::atomic_ref<const T> is C++26; nothing is written here.
    return Le16::from_stored(std::atomic_ref<uint16_t>(const_cast<uint16_t&>(field)).load(order));
}

inline void store_index(uint16_t& field, uint16_t value, std::memory_order order) noexcept {
    std::atomic_ref<uint16_t>(field).store(Le16(value).stored(), order);
}

template <typename T> T load(const T* field) noexcept {
    T value;
    std::memcpy(&value, field, sizeof value);
    std::atomic_signal_fence(std::memory_order_acq_rel); // The compiler shall not load it again.
    return value;
}

// A field alone, where the others are not needed, or not by all.
template <typename T> T load_field(const LittleEndian<T>& field) noexcept {
    auto& stored = const_cast<LittleEndian<T>&>(field).stored();
    return LittleEndian<T>::from_stored(std::atomic_ref<T>(stored).load(std::memory_order_relaxed));
}

template <typename T>
void store_field(LittleEndian<T>& field, std::type_identity_t<T> value) noexcept {
    std::atomic_ref<T>(field.stored())
        .store(LittleEndian<T>(value).stored(), std::memory_order_relaxed);
}

struct RingPart {
    const char* name; // For errors.
    uint64_t address; // Of the front end; I/O virtual behind an IOMMU.
    uint64_t bytes;
    size_t alignment;
    Access access;
};

// Those of a ring that has a size and addresses, in the layout the features ask for.
using RingParts = std::array<RingPart, 3>;
RingParts ring_parts(const Vring& vring, uint64_t features);

// The pages of a ring that the table does not tell of yet.
std::vector<IotlbMiss> untranslated(const RingParts& parts, const Iotlb& iotlb);
bool overlaps(const RingParts& parts, const IovaRange& range);
// Whether an update, of what is at host, tells of a ring nothing but what the table has already.
bool knows(const Iotlb& iotlb, const RingParts& parts, const IotlbMessage& update,
           const std::byte* host);
// Whether all of its addresses are the front end's own.
bool lies_in(const RingParts& parts, const GuestMemory& memory);

struct RingPlace {
    std::array<std::byte*, 3> parts;
    std::array<std::unique_ptr<const RingView>, 3> views; // Of parts that lie in pieces.
    std::array<std::vector<GuestMemory::GuestRange>, 3> guest_ranges;
};

// Where the three parts lie; iotlb is null where there is no IOMMU. Throws ProtocolError unless
// they are aligned and lie apart in guest memory: else what the device writes could make new chains
// available, for ever.
RingPlace find_ring(const GuestMemory& memory, const Iotlb* iotlb, const RingParts& parts);

} // namespace tapline::vhost
