// Copying between one run of bytes and scattered parts of guest memory.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>

namespace tapline {

// Copies bytes to parts, leaving out the parts' first `offset` bytes. Returns what did not fit.
std::span<const std::byte> copy_to_parts(std::span<const std::byte> bytes,
                                         std::span<const iovec> parts, size_t offset = 0) noexcept;

// Fills bytes from the beginning of parts, which hold at least as many.
void copy_from_parts(std::span<const iovec> parts, std::span<std::byte> bytes) noexcept;

} // namespace tapline
