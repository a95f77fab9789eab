#include "vhost/ring_view.h"

#include "vhost/protocol_error.h"
#include "vhost/revoked_memory.h"
#include "vhost/translation_port.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <system_error>

namespace tapline::vhost {
namespace {

constexpr uint64_t page = IotlbMiss::page;

[[noreturn]] void refuse(uint64_t address, const std::string& why) {
    throw ProtocolError(ProtocolFault::ring_address,
                        fmt::format("the ring's page at {:#x} {}", address, why));
}

std::string why_not(int code) {
    return std::generic_category().message(code) +
           (code == EINVAL ? ". On huge pages the ring has to be in one piece: give the card fewer "
                             "entries (rx_queue_size, tx_queue_size), the guest's memory small "
                             "pages, or the guest iommu=pt"
                           : "");
}

} // namespace

RingView::RingView(std::byte* pages, size_t pages_bytes, size_t lead)
    : pages_(pages), pages_bytes_(pages_bytes), lead_(lead) {
    watch_mapping({.begin = pages_, .size = pages_bytes_});
}

RingView::~RingView() {
    unwatch_mapping(pages_);
    munmap(pages_, pages_bytes_);
}

std::unique_ptr<const RingView> RingView::map(const Iotlb& iotlb, uint64_t address, uint64_t bytes,
                                              Access access) {
    const uint64_t begin = address / page * page;
    const uint64_t pages_bytes = (address + bytes - begin + page - 1) / page * page;
    void* const place =
        mmap(nullptr, pages_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) {
        refuse(begin, "finds no place: " + std::generic_category().message(errno));
    }
    std::unique_ptr<const RingView> view(
        new RingView(static_cast<std::byte*>(place), pages_bytes, address - begin));
    for (uint64_t offset = 0; offset < pages_bytes; offset += page) {
        std::byte* const from = iotlb.at(begin + offset, page, access);
        if (from == nullptr || reinterpret_cast<uintptr_t>(from) % page != 0) {
            refuse(begin + offset, "is no whole page of the guest's memory");
        }
        // Of a shared mapping 0 bytes are moved by making another mapping of the same pages.
        if (mremap(from, 0, page, MREMAP_MAYMOVE | MREMAP_FIXED, view->pages_ + offset) ==
            MAP_FAILED) {
            refuse(begin + offset, "cannot be mapped beside the others: " + why_not(errno));
        }
    }
    return view;
}

} // namespace tapline::vhost
