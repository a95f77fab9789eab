#include "vhost/virtqueue.h"

#include "vhost/features.h"
#include "vhost/packed_virtqueue.h"
#include "vhost/split_virtqueue.h"

#include <array>
#include <utility>

namespace tapline::vhost {

const char* to_text(RingFault fault) {
    constexpr std::array<const char*, ring_fault_count> names = {"none",
                                                                 "available_index",
                                                                 "head_out_of_range",
                                                                 "next_out_of_range",
                                                                 "chain_too_long",
                                                                 "descriptor_outside_memory",
                                                                 "indirect_table",
                                                                 "readable_after_writable"};
    return names[static_cast<size_t>(fault)];
}

std::unique_ptr<Virtqueue>
Virtqueue::make(const Vring& vring, std::shared_ptr<const GuestMemory> memory, uint64_t features) {
    if (has(features, Feature::ring_packed)) {
        return std::make_unique<PackedVirtqueue>(vring, std::move(memory), features);
    }
    return std::make_unique<SplitVirtqueue>(vring, std::move(memory), features);
}

Virtqueue::Virtqueue(const Vring& vring, std::shared_ptr<const GuestMemory> memory,
                     uint64_t features)
    : memory_(std::move(memory)),
      size_(static_cast<uint16_t>(vring.size)),
      event_index_(has(features, Feature::event_idx)),
      indirect_(has(features, Feature::indirect_desc)) {}

} // namespace tapline::vhost
