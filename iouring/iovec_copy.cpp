#include "iouring/iovec_copy.h"

#include <algorithm>
#include <cstring>

namespace tapline {

std::span<const std::byte> copy_to_parts(std::span<const std::byte> bytes,
                                         std::span<const iovec> parts, size_t offset) noexcept {
    for (const iovec& part : parts) {
        if (offset >= part.iov_len) {
            offset -= part.iov_len;
            continue;
        }
        const size_t count = std::min(bytes.size(), part.iov_len - offset);
        std::memcpy(static_cast<std::byte*>(part.iov_base) + offset, bytes.data(), count);
        bytes = bytes.subspan(count);
        offset = 0;
    }
    return bytes;
}

void copy_from_parts(std::span<const iovec> parts, std::span<std::byte> bytes) noexcept {
    for (const iovec& part : parts) {
        const size_t count = std::min(bytes.size(), part.iov_len);
        std::memcpy(bytes.data(), part.iov_base, count);
        bytes = bytes.subspan(count);
    }
}

} // namespace tapline
