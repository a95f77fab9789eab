// Copying between one run of bytes and scattered parts of guest memory.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

namespace tapline {

// Copies bytes to parts, leaving out the parts' first `offset` bytes. Returns what did not fit.
inline std::span<const std::byte> copy_to_parts(std::span<const std::byte> bytes,
                                                std::span<const iovec> parts,
                                                size_t offset = 0) noexcept {
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

// Fills bytes from the beginning of parts, which hold at least as many.
void copy_from_parts(std::span<const iovec> parts, std::span<std::byte> bytes) noexcept;

} // namespace tapline
