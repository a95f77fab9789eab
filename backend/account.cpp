#include "backend/account.h"

#include "backend/base/error.h"

#include <fmt/format.h>
#include <grp.h>

#include <charconv>
#include <system_error>

namespace tapline {

Account Account::find(const std::string& text) {
    const passwd* entry = getpwnam(text.c_str());
    uid_t number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, number);
    if (entry == nullptr && failure == std::errc{} && stop == end) {
        entry = getpwuid(number);
    }
    if (entry == nullptr) {
        throw Error({.operation = fmt::format("run as user '{}'", text),
                     .cause = "no such user",
                     .next_step = "see `getent passwd`"});
    }
    return {.name = entry->pw_name,
            .user = entry->pw_uid,
            .group = entry->pw_gid,
            .groups = groups_of(*entry)};
}

std::vector<gid_t> groups_of(const passwd& entry) {
    int count = 0;
    getgrouplist(entry.pw_name, entry.pw_gid, nullptr, &count);
    std::vector<gid_t> groups(static_cast<size_t>(count));
    if (getgrouplist(entry.pw_name, entry.pw_gid, groups.data(), &count) < 0) {
        throw Error({.operation = fmt::format("list the groups of user '{}'", entry.pw_name),
                     .cause = "they change at this moment",
                     .next_step = "try again"});
    }
    groups.resize(static_cast<size_t>(count));
    return groups;
}

} // namespace tapline
