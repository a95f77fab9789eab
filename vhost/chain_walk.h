// One chain while its descriptors are followed, whatever the ring's layout.
#pragma once

#include "vhost/virtqueue.h"

namespace tapline::vhost {

// What most chains are: one buffer, in the region where the last one ended. False: it lies
// elsewhere and has to be followed.
inline bool take_single(const GuestMemory::Window& last, uint64_t address, uint32_t length,
                        bool writable, IovecList& parts, Chain& chain) noexcept {
    std::byte* const host = last.at(address, length);
    if (host == nullptr || length == 0) {
        return false;
    }
    iovec* const part = parts.add(host, length);
    chain.slots = 1;
    chain.readable = {part, size_t{!writable}};
    chain.writable = {part, size_t{writable}};
    chain.readable_bytes = writable ? 0 : length;
    chain.writable_bytes = writable ? length : 0;
    return true;
}

class ChainWalk {
public:
    ChainWalk(const GuestMemory& memory, GuestMemory::Window& last, IovecList& parts) noexcept
        : memory_(memory), last_(last), parts_(parts), begin_(parts.end()) {
        parts_.begin_run();
    }

    // Adds one buffer. Other than `none`: the ring is broken.
    RingFault append(uint64_t address, uint32_t length, bool writable) noexcept {
        if (writable) {
            if (writable_begin_ == nullptr) {
                writable_begin_ = parts_.end();
                parts_.begin_run();
            }
            writable_bytes_ += length;
        } else {
            if (writable_begin_ != nullptr) {
                return RingFault::readable_after_writable;
            }
            readable_bytes_ += length;
        }
        if (!memory_.append(address, length, parts_, last_)) {
            return parts_.room() == 0 ? RingFault::chain_too_long
                                      : RingFault::descriptor_outside_memory;
        }
        return parts_.end() - begin_ > static_cast<ptrdiff_t>(chain_parts_max)
                   ? RingFault::chain_too_long
                   : RingFault::none;
    }

    void finish(uint16_t slots, Chain& chain) noexcept {
        iovec* const end = parts_.end();
        iovec* const split = writable_begin_ != nullptr ? writable_begin_ : end;
        chain.slots = slots;
        chain.readable = {begin_, split};
        chain.writable = {split, end};
        chain.readable_bytes = readable_bytes_;
        chain.writable_bytes = writable_bytes_;
    }

    void undo() noexcept { parts_.shrink_to(begin_); }

private:
    const GuestMemory& memory_;
    GuestMemory::Window& last_;
    IovecList& parts_;
    iovec* const begin_; // Of this chain in parts_.
    iovec* writable_begin_ = nullptr;
    size_t readable_bytes_ = 0;
    size_t writable_bytes_ = 0;
};

} // namespace tapline::vhost
