// The version in what a kernel or a program says of itself.
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace tapline::doctor {

using Version = std::pair<unsigned, unsigned>; // As in 6.4; what follows is left out.

// The first one in the text.
std::optional<Version> version_in(const std::string& text);

} // namespace tapline::doctor
