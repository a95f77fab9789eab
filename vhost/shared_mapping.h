// A piece of a file that the front end shares, mapped for as long as anybody holds it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace tapline::vhost {

class SharedMapping {
public:
    // Throws ProtocolError, which begins with what, for bytes that the file at fd does not have or
    // that cannot be mapped. The file may shrink later: then zeros take its place.
    static std::shared_ptr<const SharedMapping> map(const std::string& what, int fd,
                                                    uint64_t offset, uint64_t size);
    ~SharedMapping();
    SharedMapping(const SharedMapping&) = delete;
    SharedMapping& operator=(const SharedMapping&) = delete;

    std::byte* bytes() const { return pages_ + lead_; }

private:
    SharedMapping(std::byte* pages, size_t pages_bytes, size_t lead);

    std::byte* pages_;
    size_t pages_bytes_;
    size_t lead_; // Bytes of the first page in front of the piece.
};

} // namespace tapline::vhost
