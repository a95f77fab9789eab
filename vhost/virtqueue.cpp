#include "vhost/virtqueue.h"

#include "vhost/features.h"
#include "vhost/packed_virtqueue.h"
#include "vhost/split_virtqueue.h"

#include <algorithm>
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

std::unique_ptr<Virtqueue> Virtqueue::make(const Vring& vring,
                                           std::shared_ptr<const GuestMemory> memory,
                                           uint64_t features, const Iotlb* iotlb) {
    if (has(features, Feature::ring_packed)) {
        return std::make_unique<PackedVirtqueue>(vring, std::move(memory), features, iotlb);
    }
    return std::make_unique<SplitVirtqueue>(vring, std::move(memory), features, iotlb);
}

Virtqueue::Virtqueue(const Vring& vring, std::shared_ptr<const GuestMemory> memory,
                     uint64_t features, const Iotlb* iotlb)
    : addresses_(std::move(memory), iotlb),
      size_(static_cast<uint16_t>(vring.size)),
      event_index_(has(features, Feature::event_idx)),
      indirect_(has(features, Feature::indirect_desc)),
      ring_is_logged_((vring.addresses->flags & vring_flag_log) != 0) {}

void Virtqueue::translate_with(const Iotlb& iotlb, TranslationPort& port) noexcept {
    addresses_.use(iotlb, port);
    halted_ = fault_ != RingFault::none;
}

void Virtqueue::log_to(std::shared_ptr<const DirtyLog> log) noexcept {
    log_ = std::move(log);
}

void Virtqueue::log_chain(const Chain& chain, uint32_t written) const noexcept {
    for (const iovec& part : chain.writable) {
        const auto* byte = static_cast<const std::byte*>(part.iov_base);
        uint64_t left = std::min<uint64_t>(part.iov_len, written);
        written -= static_cast<uint32_t>(left);
        while (left > 0) { // Once a region: neighbours here may be far apart for the guest.
            const auto range = addresses_.memory().range_at(byte);
            const uint64_t bytes = std::min(left, range.bytes);
            if (bytes == 0) {
                return;
            }
            log_->mark(range.address, bytes);
            byte += bytes;
            left -= bytes;
        }
    }
}

void Virtqueue::log_ring() const noexcept {
    if (ring_is_logged_) {
        for (const auto& part : written_parts_) {
            log_->mark(part.address, part.bytes);
        }
    }
}

} // namespace tapline::vhost
