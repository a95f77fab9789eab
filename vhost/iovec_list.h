// A fixed store of iovecs, filled chain by chain; neighbours in memory become one entry.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <vector>

namespace tapline::vhost {

// Parts one chain may have: what one readv or writev takes (UIO_MAXIOV).
constexpr size_t chain_parts_max = 1024;

class IovecList {
public:
    explicit IovecList(size_t capacity)
        : entries_(capacity), end_(entries_.data()), run_(end_), limit_(end_ + capacity) {}
    IovecList(IovecList&&) = default; // The entries stay where they are.

    void clear() { end_ = entries_.data(); }
    void shrink(size_t size) { end_ = entries_.data() + size; }
    void end_at(iovec* end) { end_ = end; } // Entries before it are set.
    size_t size() const { return static_cast<size_t>(end_ - entries_.data()); }
    size_t room() const { return static_cast<size_t>(limit_ - end_); }
    std::span<iovec> from(size_t begin) { return {entries_.data() + begin, end_}; }
    iovec* end() { return end_; }

    // Entries added from here on are never merged with earlier ones.
    void begin_run() { run_ = end_; }

    // An entry of its own. Needs room.
    iovec* add(void* base, size_t length) noexcept {
        *end_ = {.iov_base = base, .iov_len = length};
        return end_++;
    }

    bool append(void* base, size_t length) noexcept {
        if (end_ > run_) {
            iovec& last = end_[-1];
            if (static_cast<std::byte*>(last.iov_base) + last.iov_len == base) {
                last.iov_len += length;
                return true;
            }
        }
        if (room() == 0) {
            return false;
        }
        add(base, length);
        return true;
    }

private:
    std::vector<iovec> entries_;
    iovec* end_; // Of those in use.
    iovec* run_;
    iovec* const limit_;
};

} // namespace tapline::vhost
