// The memory of a guest: a memfd that a backend maps, handed out piece by piece.
#pragma once

#include "backend/base/unique_fd.h"
#include "vhost/protocol.h"

#include <cstddef>
#include <cstdint>

namespace tapline::bench {

class GuestRam {
public:
    explicit GuestRam(size_t bytes); // Throws Error.
    ~GuestRam();
    GuestRam(const GuestRam&) = delete;
    GuestRam& operator=(const GuestRam&) = delete;

    // A guest physical address. What does not fit is a mistake of ours.
    uint64_t allocate(size_t bytes, size_t alignment = 64);

    std::byte* at(uint64_t guest_address) const { return memory_ + (guest_address - guest_base); }
    template <typename T> T* as(uint64_t guest_address) const {
        return static_cast<T*>(static_cast<void*>(at(guest_address)));
    }

    int fd() const { return fd_.get(); }
    vhost::MemoryRegion region() const;
    uint64_t user_address(uint64_t guest_address) const;

private:
    static constexpr uint64_t guest_base = 0x10000;

    UniqueFd fd_;
    std::byte* memory_;
    size_t size_;
    size_t allocated_ = 0;
};

} // namespace tapline::bench
