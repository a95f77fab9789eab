#include "iouring/bench/guest_ram.h"

#include "backend/base/error.h"

#include <sys/mman.h>

#include <cassert>

namespace tapline::bench {

GuestRam::GuestRam(size_t bytes) : fd_(memfd_create("guest", MFD_CLOEXEC)), size_(bytes) {
    if (!fd_ || ftruncate(fd_.get(), static_cast<off_t>(bytes)) < 0) {
        throw Error::from_errno("make the guest's memory");
    }
    // Populated: a page fault shall not be taken for the cost of a frame.
    void* mapped =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_.get(), 0);
    if (mapped == MAP_FAILED) {
        throw Error::from_errno("map the guest's memory");
    }
    memory_ = static_cast<std::byte*>(mapped);
}

GuestRam::~GuestRam() {
    munmap(memory_, size_);
}

uint64_t GuestRam::allocate(size_t bytes, size_t alignment) {
    const size_t begin = (allocated_ + alignment - 1) / alignment * alignment;
    assert(begin + bytes <= size_);
    allocated_ = begin + bytes;
    return guest_base + begin;
}

uint64_t GuestRam::user_address(uint64_t guest_address) const {
    return reinterpret_cast<uint64_t>(at(guest_address));
}

vhost::MemoryRegion GuestRam::region() const {
    return {.guest_address = guest_base,
            .size = size_,
            .user_address = user_address(guest_base),
            .mmap_offset = 0};
}

} // namespace tapline::bench
