// A guest's memory: a memfd, mapped here as the driver sees it and shared with the device.
#pragma once

#include "backend/base/unique_fd.h"
#include "vhost/protocol.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace tapline::fakes {

class GuestRam {
public:
    // guest_base: the guest physical address of its first byte.
    explicit GuestRam(size_t bytes, uint64_t guest_base = 0x10000);
    ~GuestRam();
    GuestRam(const GuestRam&) = delete;
    GuestRam& operator=(const GuestRam&) = delete;

    uint64_t allocate(size_t bytes, size_t alignment = 16); // Guest physical address.
    std::byte* at(uint64_t guest_address) const { return memory_ + (guest_address - guest_base_); }
    std::span<std::byte> at(uint64_t guest_address, size_t bytes) const {
        return {at(guest_address), bytes};
    }
    uint64_t user_address(uint64_t guest_address) const {
        return reinterpret_cast<uint64_t>(at(guest_address));
    }

    int fd() const { return fd_.get(); }
    size_t size() const { return size_; }
    vhost::MemoryRegion region() const;
    // Of what user_address() led to.
    uint64_t guest_address(uint64_t user_address) const {
        return guest_base_ + (user_address - reinterpret_cast<uint64_t>(memory_));
    }

private:
    UniqueFd fd_;
    std::byte* memory_;
    size_t size_;
    uint64_t guest_base_;
    size_t allocated_ = 0;
};

} // namespace tapline::fakes
