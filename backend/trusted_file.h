// A file whose words a privileged program may act upon: only root can have written it.
#pragma once

#include <string>

namespace tapline {

// Throws Error unless the file and each folder on its way belong to root and nobody else may write
// to them. Symbolic links are refused, and so is what is no file or too long. The path is absolute.
std::string read_trusted_file(const std::string& path);

} // namespace tapline
