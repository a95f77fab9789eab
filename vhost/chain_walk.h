// One chain while its descriptors are followed, whatever the ring's layout.
#pragma once

#include "vhost/virtqueue.h"

namespace tapline::vhost {

class ChainWalk {
public:
    ChainWalk(const GuestMemory& memory, IovecList& parts) noexcept
        : memory_(memory), parts_(parts), begin_(parts.size()) {
        parts_.begin_run();
    }

    // Adds one buffer. Other than `none`: the ring is broken.
    RingFault append(uint64_t address, uint32_t length, bool writable) noexcept {
        if (writable && !in_writable_) {
            in_writable_ = true;
            readable_parts_ = parts_.size() - begin_;
            parts_.begin_run();
        } else if (!writable && in_writable_) {
            return RingFault::readable_after_writable;
        }
        if (!memory_.append(address, length, parts_)) {
            return parts_.room() == 0 ? RingFault::chain_too_long
                                      : RingFault::descriptor_outside_memory;
        }
        if (parts_.size() - begin_ > chain_parts_max) {
            return RingFault::chain_too_long;
        }
        (writable ? writable_bytes_ : readable_bytes_) += length;
        return RingFault::none;
    }

    void finish(uint16_t id, uint16_t slots, Chain& chain) noexcept {
        const std::span<iovec> all = parts_.from(begin_);
        const size_t split = in_writable_ ? readable_parts_ : all.size();
        chain = {.id = id,
                 .slots = slots,
                 .readable = all.first(split),
                 .writable = all.subspan(split),
                 .readable_bytes = readable_bytes_,
                 .writable_bytes = writable_bytes_};
    }

    void undo() noexcept { parts_.shrink(begin_); }

private:
    const GuestMemory& memory_;
    IovecList& parts_;
    const size_t begin_; // Of this chain in parts_.
    size_t readable_parts_ = 0;
    size_t readable_bytes_ = 0;
    size_t writable_bytes_ = 0;
    bool in_writable_ = false;
};

} // namespace tapline::vhost
