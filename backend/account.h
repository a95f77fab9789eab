// A user of the system with all groups, as login(1) would set them.
#pragma once

#include <pwd.h>
#include <sys/types.h>

#include <string>
#include <vector>

namespace tapline {

struct Account {
    std::string name;
    uid_t user;
    gid_t group;
    std::vector<gid_t> groups;

    // By name or number. Throws Error where there is none.
    static Account find(const std::string& text);
};

// As the user database has them, not as a process does: groups can be given up.
std::vector<gid_t> groups_of(const passwd& entry);

} // namespace tapline
