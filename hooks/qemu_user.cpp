#include "hooks/qemu_user.h"

#include "backend/account.h"
#include "backend/base/error.h"

#include <grp.h>

#include <fstream>
#include <initializer_list>
#include <optional>
#include <string>

namespace tapline::hooks {
namespace {

constexpr auto configuration = "/etc/libvirt/qemu.conf";

// Of a line `key = "value"`; a number has a + in front.
std::optional<std::string> value_of(const std::string& key) {
    std::ifstream file(configuration);
    std::optional<std::string> value;
    for (std::string line; std::getline(file, line);) {
        const auto begin = line.find_first_not_of(" \t");
        if (begin == std::string::npos || line.compare(begin, key.size(), key) != 0) {
            continue;
        }
        const auto equals = line.find_first_not_of(" \t", begin + key.size());
        const auto open = line.find('"', begin);
        const auto close = line.find('"', open + 1);
        if (equals != std::string::npos && line[equals] == '=' && close != std::string::npos) {
            value = line.substr(open + 1, close - open - 1);
        }
    }
    return value && value->starts_with('+') ? value->substr(1) : value;
}

std::optional<Account> find_account(const std::string& name) {
    try {
        return Account::find(name);
    } catch (const Error&) {
        return std::nullopt;
    }
}

} // namespace

Owner find_qemu_user() {
    for (const auto& name : {value_of("user"), std::optional<std::string>("libvirt-qemu"),
                             std::optional<std::string>("qemu")}) {
        const auto account = name ? find_account(*name) : std::nullopt;
        if (account) {
            const auto group_name = value_of("group");
            const group* entry = group_name ? getgrnam(group_name->c_str()) : nullptr;
            return {.user = account->user,
                    .group = entry != nullptr ? entry->gr_gid : account->group};
        }
    }
    return {.user = 0, .group = 0};
}

} // namespace tapline::hooks
