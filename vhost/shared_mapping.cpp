#include "vhost/shared_mapping.h"

#include "vhost/protocol_error.h"
#include "vhost/revoked_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <system_error>

namespace tapline::vhost {
namespace {

constexpr uint64_t small_page = 4096;

[[noreturn]] void refuse(const std::string& what, const std::string& why) {
    throw ProtocolError(ProtocolFault::memory_region, fmt::format("{} {}", what, why));
}

} // namespace

std::shared_ptr<const SharedMapping> SharedMapping::map(const std::string& what, int fd,
                                                        uint64_t offset, uint64_t size) {
    struct stat file {};
    if (fstat(fd, &file) < 0 || !S_ISREG(file.st_mode)) {
        refuse(what, "comes with a descriptor that is no file");
    }
    const auto file_bytes = static_cast<uint64_t>(file.st_size);
    if (size == 0 || size > file_bytes || offset > file_bytes - size) {
        refuse(what, fmt::format("at offset {:#x} lies outside its file of {:#x} bytes", offset,
                                 file_bytes));
    }
    // A hugetlbfs file tells its page as block size; a mapping begins and ends on one.
    const auto block = static_cast<uint64_t>(file.st_blksize);
    const uint64_t page = std::has_single_bit(block) ? std::max(block, small_page) : small_page;
    const uint64_t begin = offset / page * page;
    const uint64_t end = (offset + size + page - 1) / page * page;
    void* pages = mmap(nullptr, end - begin, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
                       static_cast<off_t>(begin));
    if (pages == MAP_FAILED) {
        refuse(what, fmt::format("cannot be mapped: {}", std::generic_category().message(errno)));
    }
    return std::shared_ptr<const SharedMapping>(
        new SharedMapping(static_cast<std::byte*>(pages), end - begin, offset - begin));
}

SharedMapping::SharedMapping(std::byte* pages, size_t pages_bytes, size_t lead)
    : pages_(pages), pages_bytes_(pages_bytes), lead_(lead) {
    watch_mapping({.begin = pages_, .size = pages_bytes_});
}

SharedMapping::~SharedMapping() {
    unwatch_mapping(pages_);
    munmap(pages_, pages_bytes_);
}

} // namespace tapline::vhost
