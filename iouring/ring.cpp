#include "iouring/ring.h"

#include "backend/base/error.h"
#include "backend/base/unique_fd.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace tapline {
namespace {

constexpr unsigned completion_entries = 8 * frames_per_turn_max;

const char* next_step(int code) {
    switch (code) {
    case EPERM:
        return "io_uring is switched off: sysctl kernel.io_uring_disabled=0";
    case ENOSYS:
    case EINVAL:
        return "needs Linux 6.4 or newer with io_uring";
    case ENOMEM:
        return "raise the limit of locked memory: ulimit -l";
    default:
        return "";
    }
}

} // namespace

std::unique_ptr<Ring> Ring::create(int tap_fd, const HeldFrames* frames) {
    io_uring_params params{};
    // Disabled until the worker enables it, which makes that thread the single issuer.
    params.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
                   IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
    params.cq_entries = completion_entries;
    // Not io_uring_queue_init_params(), which from liburing 2.5 on leaves out the array by which
    // entries can be used again.
    UniqueFd fd(static_cast<int>(syscall(SYS_io_uring_setup, entry_count, &params)));
    if (!fd) {
        throw Error::from_errno("set up io_uring", next_step(errno));
    }
    io_uring mapped{};
    if (const int result = io_uring_queue_mmap(fd.get(), &params, &mapped); result < 0) {
        throw Error::from_errno("map the rings of io_uring", next_step(-result), -result);
    }
    mapped.features = params.features; // These are its callers' to set, from some version on.
    mapped.flags = params.flags;
    mapped.ring_fd = mapped.enter_ring_fd = fd.release();
    std::unique_ptr<Ring> ring(new Ring(mapped));
    if (const int result = io_uring_register_files(&ring->ring_, &tap_fd, 1); result < 0) {
        throw Error::from_errno("register the tap queue with io_uring", next_step(-result),
                                -result);
    }
    ring->prepare_moves(frames);
    return ring;
}

void Ring::prepare_moves(const HeldFrames* frames) noexcept {
    const auto prepare = [this](unsigned number, io_uring_op operation, unsigned flags, Tag tag) {
        io_uring_sqe& entry = ring_.sq.sqes[number];
        entry = {};
        io_uring_prep_rw(operation, &entry, registered_tap, nullptr, 0, 0);
        entry.rw_flags = RWF_NOWAIT;
        entry.flags = static_cast<uint8_t>(IOSQE_FIXED_FILE | flags);
        entry.user_data = tag.pack();
    };
    for (uint16_t slot = 0; slot < frames_per_turn_max; ++slot) {
        prepare(first_read + slot, IORING_OP_READ, 0, Tag(TagKind::tap_read, slot));
        prepare(first_write + slot, IORING_OP_WRITE, IOSQE_CQE_SKIP_SUCCESS,
                Tag(TagKind::tap_write, slot));
    }
    if (frames == nullptr) {
        return;
    }
    // This saves a translation at each read. Without the right to lock so much memory, reads take
    // a little longer.
    const iovec all{.iov_base = frames->memory().data(), .iov_len = frames->memory().size()};
    const bool registered = io_uring_register_buffers(&ring_, &all, 1) == 0;
    for (uint16_t slot = 0; slot < reads_per_turn_max; ++slot) {
        const auto place = frames->slot(slot);
        io_uring_sqe& entry = ring_.sq.sqes[first_slot_read + slot];
        prepare(first_slot_read + slot, registered ? IORING_OP_READ_FIXED : IORING_OP_READ, 0,
                Tag(TagKind::tap_read, slot));
        entry.addr = reinterpret_cast<uintptr_t>(place.data());
        entry.len = static_cast<uint32_t>(place.size());
    }
}

void Ring::enable() noexcept {
    // liburing 2.3 declares io_uring_enable_rings() but does not export it.
    [[maybe_unused]] const long result =
        syscall(SYS_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    assert(result == 0);
}

io_uring_sqe* Ring::next_entry() noexcept {
    const unsigned number = first_other + others_++ % (entry_count - first_other);
    enqueue(number);
    io_uring_sqe* const entry = &ring_.sq.sqes[number];
    *entry = {}; // What io_uring_prep_*() leave as it is, by version.
    return entry;
}

void Ring::poll_tap() noexcept {
    io_uring_sqe* entry = next_entry();
    io_uring_prep_poll_add(entry, registered_tap, POLLIN);
    entry->flags = IOSQE_FIXED_FILE;
    entry->user_data = Tag(TagKind::tap_readable).pack();
}

// An eventfd completes a multishot poll at every write, read or not (measured on Linux 6.18).
void Ring::poll(int fd, TagKind kind, uint16_t slot) noexcept {
    io_uring_sqe* entry = next_entry();
    io_uring_prep_poll_multishot(entry, fd, POLLIN);
    entry->user_data = Tag(kind, slot).pack();
}

void Ring::signal(int eventfd, TagKind kind, uint16_t slot) noexcept {
    static const uint64_t one = 1;
    io_uring_sqe* entry = next_entry();
    io_uring_prep_write(entry, eventfd, &one, sizeof one, 0);
    entry->user_data = Tag(kind, slot).pack();
}

void Ring::submit() noexcept {
    do { // The kernel takes fewer than asked when it is short of memory (EAGAIN) for a while.
        [[maybe_unused]] const int result = io_uring_submit_and_get_events(&ring_);
        assert(result >= 0 || result == -EAGAIN || result == -EBUSY || result == -EINTR);
    } while (io_uring_sq_ready(&ring_) > 0);
}

void Ring::submit_and_wait(std::optional<std::chrono::nanoseconds> limit) noexcept {
    __kernel_timespec time{};
    if (limit) {
        const auto seconds = std::chrono::floor<std::chrono::seconds>(*limit);
        time = {.tv_sec = seconds.count(), .tv_nsec = (*limit - seconds).count()};
    }
    io_uring_cqe* completion = nullptr;
    (void)io_uring_submit_and_wait_timeout(&ring_, &completion, 1, limit ? &time : nullptr,
                                           nullptr);
}

} // namespace tapline
