#include "iouring/iovec_copy.h"

#include <algorithm>
#include <cstring>

namespace tapline {

void copy_from_parts(std::span<const iovec> parts, std::span<std::byte> bytes) noexcept {
    for (const iovec& part : parts) {
        const size_t count = std::min(bytes.size(), part.iov_len);
        std::memcpy(bytes.data(), part.iov_base, count);
        bytes = bytes.subspan(count);
    }
}

} // namespace tapline
