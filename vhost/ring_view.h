// Guest memory in pieces, seen in one: the pages of a ring that an IOMMU shows to the device side
// by side, wherever the guest has them.
#pragma once

#include "vhost/iotlb.h"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tapline::vhost {

class RingView {
public:
    // Of [address, address + bytes), which iotlb tells all of. Throws ProtocolError where pages of
    // it are none of ours, and where they cannot be mapped once more.
    static std::unique_ptr<const RingView> map(const Iotlb& iotlb, uint64_t address, uint64_t bytes,
                                               Access access);
    ~RingView();
    RingView(const RingView&) = delete;
    RingView& operator=(const RingView&) = delete;

    std::byte* bytes() const { return pages_ + lead_; }

private:
    RingView(std::byte* pages, size_t pages_bytes, size_t lead);

    std::byte* const pages_;
    const size_t pages_bytes_;
    const size_t lead_; // Bytes of the first page in front of the ring.
};

} // namespace tapline::vhost
