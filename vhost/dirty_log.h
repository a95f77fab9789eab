// Which pages of the guest's memory the device has written, told to a front end that migrates the
// guest: one bit a page in memory that both share (vhost-user.rst, "Migration").
#pragma once

#include "vhost/shared_mapping.h"

#include <cstdint>
#include <memory>
#include <utility>

namespace tapline::vhost {

class DirtyLog {
public:
    // size: bytes of the log.
    DirtyLog(std::shared_ptr<const SharedMapping> bits, uint64_t size)
        : bits_(std::move(bits)), size_(size) {}

    // Guest physical [address, address + length) was written. What lies beyond the log has no bit.
    void mark(uint64_t address, uint64_t length) const noexcept;

private:
    std::shared_ptr<const SharedMapping> bits_;
    uint64_t size_;
};

} // namespace tapline::vhost
