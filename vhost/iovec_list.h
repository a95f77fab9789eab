// A fixed store of iovecs, filled chain by chain; neighbours in memory become one entry.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <vector>

namespace tapline::vhost {

class IovecList {
public:
    explicit IovecList(size_t capacity) : entries_(capacity) {}

    void clear() { size_ = 0; }
    void shrink(size_t size) { size_ = size; }
    size_t size() const { return size_; }
    size_t room() const { return entries_.size() - size_; }
    std::span<iovec> from(size_t begin) { return {entries_.data() + begin, size_ - begin}; }

    // Entries added from here on are never merged with earlier ones.
    void begin_run() { run_ = size_; }

    bool append(void* base, size_t length) noexcept {
        if (size_ > run_) {
            iovec& last = entries_[size_ - 1];
            if (static_cast<std::byte*>(last.iov_base) + last.iov_len == base) {
                last.iov_len += length;
                return true;
            }
        }
        if (room() == 0) {
            return false;
        }
        entries_[size_++] = {.iov_base = base, .iov_len = length};
        return true;
    }

private:
    std::vector<iovec> entries_;
    size_t size_ = 0;
    size_t run_ = 0;
};

} // namespace tapline::vhost
