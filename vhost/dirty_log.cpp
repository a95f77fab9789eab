#include "vhost/dirty_log.h"

#include <algorithm>
#include <atomic>

namespace tapline::vhost {
namespace {

constexpr uint64_t page_bytes = 4096; // VHOST_LOG_PAGE
constexpr uint64_t pages_a_byte = 8;

} // namespace

void DirtyLog::mark(uint64_t address, uint64_t length) const noexcept {
    if (length == 0) {
        return;
    }
    const uint64_t end = std::min(address + length < address ? UINT64_MAX : address + length,
                                  size_ * pages_a_byte * page_bytes);
    if (address >= end) {
        return;
    }
    auto* const bits = static_cast<uint8_t*>(static_cast<void*>(bits_->bytes()));
    const uint64_t last = (end - 1) / page_bytes;
    for (uint64_t page = address / page_bytes; page <= last;) {
        const uint64_t behind = std::min(last + 1, (page / pages_a_byte + 1) * pages_a_byte);
        const unsigned mask = (0xffu >> (pages_a_byte - (behind - page))) << page % pages_a_byte;
        const std::atomic_ref<uint8_t> byte(bits[page / pages_a_byte]);
        // The write before its mark: the front end takes the mark away before it reads the page.
        byte.fetch_or(static_cast<uint8_t>(mask), std::memory_order_seq_cst);
        page = behind;
    }
}

} // namespace tapline::vhost
