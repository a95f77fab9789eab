#include "iouring/ring.h"

#include "backend/base/error.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace tapline {
namespace {

// Both directions' frames, two calls, two kicks, the tap's poll and the stop, with room to spare.
constexpr unsigned submission_entries = 4 * frames_per_turn_max;
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

std::unique_ptr<Ring> Ring::create(int tap_fd, std::span<std::byte> memory) {
    std::unique_ptr<Ring> ring(new Ring);
    io_uring_params params{};
    // Disabled until the worker enables it, which makes that thread the single issuer.
    params.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
                   IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
    params.cq_entries = completion_entries;
    if (const int result = io_uring_queue_init_params(submission_entries, &ring->ring_, &params);
        result < 0) {
        throw Error::from_errno("set up io_uring", next_step(-result), -result);
    }
    if (const int result = io_uring_register_files(&ring->ring_, &tap_fd, 1); result < 0) {
        throw Error::from_errno("register the tap queue with io_uring", next_step(-result),
                                -result);
    }
    if (!memory.empty()) { // Without the right to lock so much of it, reads take a little longer.
        const iovec part{.iov_base = memory.data(), .iov_len = memory.size()};
        ring->memory_registered_ = io_uring_register_buffers(&ring->ring_, &part, 1) == 0;
    }
    return ring;
}

void Ring::enable() noexcept {
    // liburing 2.3 declares io_uring_enable_rings() but does not export it.
    [[maybe_unused]] const long result =
        syscall(SYS_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    assert(result == 0);
}

void Ring::poll_tap() noexcept {
    io_uring_sqe* entry = next_entry();
    io_uring_prep_poll_add(entry, registered_tap, POLLIN);
    entry->flags = IOSQE_FIXED_FILE;
    entry->user_data = Tag::pack(TagKind::tap_readable);
}

// An eventfd completes a multishot poll at every write, read or not (measured on Linux 6.18).
void Ring::poll(int fd, TagKind kind, uint16_t slot) noexcept {
    io_uring_sqe* entry = next_entry();
    io_uring_prep_poll_multishot(entry, fd, POLLIN);
    entry->user_data = Tag::pack(kind, slot);
}

void Ring::signal(int eventfd, TagKind kind, uint16_t slot) noexcept {
    static const uint64_t one = 1;
    io_uring_sqe* entry = next_entry();
    io_uring_prep_write(entry, eventfd, &one, sizeof one, 0);
    entry->user_data = Tag::pack(kind, slot);
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
