// Rewrites interfaces of a domain from one form to another: type direct, a pump's vhostuser, a
// hand-off's ethernet. No byte changes that need not, and the way back ends where it began.
#pragma once

#include "xml/conversion.h"

#include <string>

namespace tapline::xml {

// which: a MAC address, a number from 1 in the order of the text, or all. Of all, those that are
// not ours stay as they are. Throws Error for what cannot be done, and then nothing is.
std::string convert(const std::string& text, const std::string& source,
                    const Conversion& conversion, const std::string& which = "all");

} // namespace tapline::xml
