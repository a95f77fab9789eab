// An io_uring with one tap queue registered in it. Made by the main thread, used by one worker.
//
// Reads and writes on the tap never wait (RWF_NOWAIT): when submit() returns each of them has
// either moved a frame or failed, in the order it was queued, and the kernel holds no more
// pointers into guest memory.
#pragma once

#include "iouring/held_frames.h"
#include "iouring/tag.h"

#include <liburing.h>
#include <sys/uio.h>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <span>

namespace tapline {

constexpr unsigned frames_per_turn_max = 64; // Each direction; 32 to 256 measure the same.

class Ring {
public:
    // frames: where read_tap_slots() reads to; outlives this. Throws Error where the kernel has no
    // io_uring as we need it (Linux 6.4).
    static std::unique_ptr<Ring> create(int tap_fd, const HeldFrames* frames = nullptr);
    ~Ring() { io_uring_queue_exit(&ring_); }
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    // The calling thread becomes the ring's only user.
    void enable() noexcept;

    // parts stay valid until submit() returns. Each slot, up to frames_per_turn_max, has one read
    // and one write until then.
    void read_tap(std::span<const iovec> parts, uint16_t slot) noexcept {
        move(first_read + slot, parts, IORING_OP_READ, IORING_OP_READV);
    }
    // One frame each to the slots from 0 to count of the frames this was made with.
    void read_tap_slots(uint16_t count) noexcept {
        assert(count <= reads_per_turn_max && ring_.sq.sqes[first_slot_read].addr != 0);
        io_uring_sq& queue = ring_.sq;
        const unsigned begin = queue.sqe_tail & queue.ring_mask;
        const unsigned up_to_end = std::min<unsigned>(count, entry_count - begin);
        std::iota(&queue.array[begin], &queue.array[begin + up_to_end], first_slot_read);
        std::iota(queue.array, &queue.array[count - up_to_end], first_slot_read + up_to_end);
        queue.sqe_tail += count;
    }
    void write_tap(std::span<const iovec> parts, uint16_t slot) noexcept { // Completes if it fails.
        move(first_write + slot, parts, IORING_OP_WRITE, IORING_OP_WRITEV);
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
        const io_uring_cqe* const completions = queue.cqes;
        const unsigned mask = queue.ring_mask;
        const unsigned end = io_uring_smp_load_acquire(queue.ktail);
        unsigned head = *queue.khead;
        for (; head != end; ++head) {
            const io_uring_cqe& completion = completions[head & mask];
            visit(Tag::unpack(completion.user_data), completion.res,
                  (completion.flags & IORING_CQE_F_MORE) != 0);
        }
        io_uring_smp_store_release(queue.khead, head);
    }

private:
    explicit Ring(const io_uring& ring) : ring_(ring) {}
    void prepare_moves(const HeldFrames* frames) noexcept;

    // The kernel reads entries where the array says. So those of frames are made once, and only
    // told where the frame is.
    void move(unsigned number, std::span<const iovec> parts, io_uring_op of_one,
              io_uring_op of_many) noexcept {
        io_uring_sqe& entry = ring_.sq.sqes[number];
        const iovec& first = parts.front();
        const bool one = parts.size() == 1;
        entry.opcode = static_cast<uint8_t>(one ? of_one : of_many);
        entry.addr = reinterpret_cast<uintptr_t>(one ? first.iov_base : &first);
        entry.len = static_cast<uint32_t>(one ? first.iov_len : parts.size());
        enqueue(number);
    }
    void enqueue(unsigned number) noexcept {
        io_uring_sq& queue = ring_.sq;
        assert(queue.sqe_tail - *queue.khead < queue.ring_entries);
        queue.array[queue.sqe_tail++ & queue.ring_mask] = number;
    }
    io_uring_sqe* next_entry() noexcept;

    static constexpr int registered_tap = 0; // Its place among the ring's files.

    // Numbers of entries.
    static constexpr unsigned first_slot_read = 0;
    static constexpr unsigned first_read = first_slot_read + reads_per_turn_max;
    static constexpr unsigned first_write = first_read + frames_per_turn_max;
    static constexpr unsigned first_other = first_write + frames_per_turn_max;
    static constexpr unsigned entry_count = 4 * frames_per_turn_max;

    io_uring ring_;
    unsigned others_ = 0; // How many there were.
};

} // namespace tapline
