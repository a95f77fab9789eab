// An io_uring with one tap queue registered in it. Made by the main thread, used by one worker.
//
// Reads and writes on the tap never wait (RWF_NOWAIT): when submit() returns each of them has
// either moved a frame or failed, in the order it was queued, and the kernel holds no more
// pointers into guest memory.
#pragma once

#include "iouring/tag.h"

#include <liburing.h>
#include <sys/uio.h>

#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace tapline {

constexpr unsigned frames_per_turn_max = 64; // Each direction; 32 to 256 measure the same.

class Ring {
public:
    // memory: of ours, where whole frames are read to. Throws Error where the kernel has no
    // io_uring as we need it (Linux 6.4).
    static std::unique_ptr<Ring> create(int tap_fd, std::span<std::byte> memory = {});
    ~Ring() { io_uring_queue_exit(&ring_); }
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    // The calling thread becomes the ring's only user.
    void enable() noexcept;

    // parts stay valid until submit() returns.
    void read_tap(std::span<const iovec> parts, uint16_t slot) noexcept {
        move(parts, IORING_OP_READ, IORING_OP_READV, 0, Tag::pack(TagKind::tap_read, slot));
    }
    // Slots from 0 to count, one read each, to places within memory that are stride bytes apart.
    void read_tap_slots(std::span<std::byte> first_place, size_t stride, uint16_t count) noexcept {
        const io_uring_op operation = memory_registered_ ? IORING_OP_READ_FIXED : IORING_OP_READ;
        for (uint16_t slot = 0; slot < count; ++slot) {
            move(first_place.data() + slot * stride, first_place.size(), operation, 0,
                 Tag::pack(TagKind::tap_read, slot));
        }
    }
    void write_tap(std::span<const iovec> parts, uint16_t slot) noexcept { // Completes if it fails.
        move(parts, IORING_OP_WRITE, IORING_OP_WRITEV, IOSQE_CQE_SKIP_SUCCESS,
             Tag::pack(TagKind::tap_write, slot));
    }
    void poll_tap() noexcept;                                    // Completes once.
    void poll(int fd, TagKind kind, uint16_t slot = 0) noexcept; // Completes each time.
    void signal(int eventfd, TagKind kind, uint16_t slot = 0) noexcept;

    void submit() noexcept;
    // Waits for one completion at least, or until the time is over.
    void submit_and_wait(std::optional<std::chrono::nanoseconds> limit) noexcept;

    // visit(Tag, int32_t result, bool more): more says that the request goes on.
    template <typename Visitor> void for_each_completion(Visitor visit) noexcept {
        const io_uring_cq& queue = ring_.cq;
        const unsigned end = io_uring_smp_load_acquire(queue.ktail);
        unsigned head = *queue.khead;
        for (; head != end; ++head) {
            const io_uring_cqe& completion = queue.cqes[head & queue.ring_mask];
            visit(Tag::unpack(completion.user_data), completion.res,
                  (completion.flags & IORING_CQE_F_MORE) != 0);
        }
        io_uring_smp_store_release(queue.khead, head);
    }

private:
    Ring() = default;

    // As io_uring_get_sqe() does it, which asks each time what kind of ring this is.
    io_uring_sqe* next_entry() noexcept {
        io_uring_sq& queue = ring_.sq;
        assert(queue.sqe_tail - *queue.khead < queue.ring_entries);
        return &queue.sqes[queue.sqe_tail++ & queue.ring_mask];
    }
    void move(std::span<const iovec> parts, io_uring_op of_one, io_uring_op of_many, unsigned flags,
              uint64_t tag) noexcept {
        if (parts.size() == 1) {
            move(parts[0].iov_base, parts[0].iov_len, of_one, flags, tag);
        } else {
            move(parts.data(), parts.size(), of_many, flags, tag);
        }
    }
    void move(const void* place, size_t length, io_uring_op operation, unsigned flags,
              uint64_t tag) noexcept {
        io_uring_sqe* entry = next_entry();
        io_uring_prep_rw(operation, entry, registered_tap, place, static_cast<unsigned>(length), 0);
        entry->rw_flags = RWF_NOWAIT;
        entry->flags = static_cast<uint8_t>(IOSQE_FIXED_FILE | flags);
        entry->user_data = tag;
    }

    static constexpr int registered_tap = 0; // Its place among the ring's files.

    io_uring ring_{};
    bool memory_registered_ = false; // Saves its translation at each read.
};

} // namespace tapline
