// How chains become buffers, whatever the ring's layout: the plain ones at once, others while their
// descriptors are followed.
#pragma once

#include "vhost/virtqueue.h"

#include <algorithm>

namespace tapline::vhost {

// What most chains are: one buffer, in the region where the last one ended; it becomes part. False:
// it lies elsewhere and has to be followed.
inline bool take_single(const GuestMemory::Window& last, uint64_t address, uint32_t length,
                        bool writable, iovec* part, Chain& chain) noexcept {
    if (!last.holds(address, length)) {
        return false;
    }
    *part = {.iov_base = last.at(address), .iov_len = length};
    chain.slots = 1;
    chain.readable = {part, size_t{!writable}};
    chain.writable = {part, size_t{writable}};
    chain.readable_bytes = writable ? 0 : length;
    chain.writable_bytes = writable ? length : 0;
    return true;
}

// The same for several buffers in a row that the driver wants sent.
class ReadableSingles {
public:
    ReadableSingles(const GuestMemory::Window& last, IovecList& parts, std::span<Chain> chains)
        : last_(last),
          parts_(parts),
          part_(parts.end()),
          begin_(chains.data()),
          next_(begin_),
          end_(begin_ + std::min(chains.size(), parts.room())) {}
    ~ReadableSingles() { parts_.end_at(part_); }

    bool full() const { return next_ == end_; }
    size_t count() const { return static_cast<size_t>(next_ - begin_); }

    bool take(uint64_t address, uint32_t length, uint16_t id) noexcept {
        if (!last_.holds(address, length)) {
            return false;
        }
        *part_ = {.iov_base = last_.at(address), .iov_len = length};
        *next_ = {.id = id,
                  .slots = 1,
                  .readable = {part_, 1},
                  .writable = {},
                  .readable_bytes = length,
                  .writable_bytes = 0};
        ++part_;
        ++next_;
        return true;
    }

private:
    const GuestMemory::Window last_;
    IovecList& parts_;
    iovec* part_;
    Chain* const begin_;
    Chain* next_;
    Chain* const end_;
};

class ChainWalk {
public:
    ChainWalk(DeviceAddresses& addresses, IovecList& parts) noexcept
        : addresses_(addresses), parts_(parts), begin_(parts.end()) {
        parts_.begin_run();
    }

    // Adds one buffer, unless it is yet to be told where it lies. Other than `none`: the ring is
    // broken.
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
        const auto found =
            addresses_.append(address, length, writable ? Access::write : Access::read, parts_);
        if (found == DeviceAddresses::Found::not_all) {
            return parts_.room() == 0 ? RingFault::chain_too_long
                                      : RingFault::descriptor_outside_memory;
        }
        note(found);
        return parts_.end() - begin_ > static_cast<ptrdiff_t>(chain_parts_max)
                   ? RingFault::chain_too_long
                   : RingFault::none;
    }

    // Something of the chain was found, or not yet.
    void note(DeviceAddresses::Found found) noexcept {
        complete_ = complete_ && found == DeviceAddresses::Found::all;
    }
    bool complete() const { return complete_; }

    void finish(uint16_t slots, Chain& chain) noexcept {
        iovec* const end = parts_.end();
        iovec* const split = writable_begin_ != nullptr ? writable_begin_ : end;
        chain.slots = slots;
        chain.readable = {begin_, split};
        chain.writable = {split, end};
        chain.readable_bytes = readable_bytes_;
        chain.writable_bytes = writable_bytes_;
    }

    void undo() noexcept { parts_.end_at(begin_); }

private:
    DeviceAddresses& addresses_;
    IovecList& parts_;
    iovec* const begin_; // Of this chain in parts_.
    iovec* writable_begin_ = nullptr;
    size_t readable_bytes_ = 0;
    size_t writable_bytes_ = 0;
    bool complete_ = true;
};

} // namespace tapline::vhost
