// A domain that comes from another host, where parents have other names.
#pragma once

#include <map>
#include <string>

namespace tapline::hooks {

// The domain with each parent called what the map says, and no other byte changed: in interfaces
// of type direct and in our metadata. Throws Error for what is no XML.
std::string rename_parents(const std::string& domain,
                           const std::map<std::string, std::string>& names);

} // namespace tapline::hooks
