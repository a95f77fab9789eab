// A front end can shrink a file after sharing it; touching what is gone raises SIGBUS. The handler
// here puts zeros in place of the whole mapping (page by page, a guest could use up the mappings a
// process may have), so that the rings read as broken and the process lives on.
#pragma once

#include <cstddef>

namespace tapline::vhost {

struct WatchedMapping {
    std::byte* begin;
    size_t size; // Bytes, whole pages.
};

// Main thread only; any thread may touch the memory. The first call installs the handler.
void watch_mapping(const WatchedMapping& mapping);
void unwatch_mapping(const std::byte* begin);

} // namespace tapline::vhost
