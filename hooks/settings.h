// What the administrator of a host settles for all its domains: /etc/tapline/tapline.conf.
#pragma once

#include <map>
#include <string>

namespace tapline::hooks {

struct Settings {
    // [migrate]: how a parent of the host a domain comes from is called here.
    std::map<std::string, std::string> parents;

    // Empty where there is no such file. Throws Error with the line for what it does not know.
    static Settings read();
};

} // namespace tapline::hooks
