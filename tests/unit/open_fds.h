// How many descriptors this process has open: what is received and refused must be closed again.
#pragma once

#include <cstddef>
#include <filesystem>
#include <iterator>

namespace tapline {

inline size_t open_fds() {
    const std::filesystem::directory_iterator entries("/proc/self/fd");
    return static_cast<size_t>(std::distance(begin(entries), end(entries)));
}

} // namespace tapline
