#include "tests/fakes/guest_ram.h"

#include <sys/mman.h>

#include <stdexcept>

namespace tapline::fakes {

GuestRam::GuestRam(size_t bytes, uint64_t guest_base)
    : fd_(memfd_create("guest", MFD_CLOEXEC)), size_(bytes), guest_base_(guest_base) {
    if (ftruncate(fd_.get(), static_cast<off_t>(bytes)) < 0) {
        throw std::runtime_error("cannot size the guest's memory");
    }
    void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    if (mapped == MAP_FAILED) {
        throw std::runtime_error("cannot map the guest's memory");
    }
    memory_ = static_cast<std::byte*>(mapped);
}

GuestRam::~GuestRam() {
    munmap(memory_, size_);
}

uint64_t GuestRam::allocate(size_t bytes, size_t alignment) {
    const size_t begin = (allocated_ + alignment - 1) / alignment * alignment;
    if (begin + bytes > size_) {
        throw std::runtime_error("the guest's memory is full");
    }
    allocated_ = begin + bytes;
    return guest_base_ + begin;
}

vhost::MemoryRegion GuestRam::region() const {
    return {.guest_address = guest_base_,
            .size = size_,
            .user_address = reinterpret_cast<uint64_t>(memory_),
            .mmap_offset = 0};
}

} // namespace tapline::fakes
