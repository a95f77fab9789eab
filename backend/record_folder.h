// A folder of records below /run/tapline. Root acts on what they say, so root alone may put them
// there.
#pragma once

#include "backend/base/unique_fd.h"

#include <cstddef>
#include <optional>
#include <string>

namespace tapline {

// Where it is missing root makes it; by another user made it would be that one's. Throws Error
// where there is none then, or where others than root can write to it or to the folder around it.
void make_record_folder(const std::string& folder);
// The same, but false where there is none.
bool has_record_folder(const std::string& folder);

// Whatever else lies there is neither followed nor waited for: empty. Throws Error where a file
// cannot be read: what it records may be in use.
UniqueFd open_plain_file(const std::string& path);
// Of an open plain file; what is longer is cut off. Absent, with errno, where it cannot be read.
std::optional<std::string> read_start(int fd, size_t bytes_max);

} // namespace tapline
