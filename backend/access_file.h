// The text form of access rules: `allow|deny USER|@GROUP|all PARENT|all MODES`, `include FILE` and
// `#` comments, a line each.
#pragma once

#include "backend/access_rules.h"

#include <functional>
#include <string>

namespace tapline {

// Gives a file's text, or throws Error.
using ReadFile = std::function<std::string(const std::string& path)>;

// The rules of the file and of those it includes. Throws Error with FILE:LINE:COLUMN for the first
// thing that is wrong: half of the rules would not be what their author meant.
AccessRules read_access_file(const std::string& path, const ReadFile& read);

} // namespace tapline
