#include "hooks/settings.h"

#include "backend/base/error.h"
#include "backend/interface_spec.h"

#include "config.h"

#include <fmt/format.h>
#include <glib.h>

#include <string_view>

namespace tapline::hooks {
namespace {

constexpr auto path = TAPLINE_SYSCONF "/tapline.conf";
constexpr auto migrate_group = "migrate";

[[noreturn]] void refuse(const std::string& cause, const std::string& next_step = {}) {
    throw Error(
        {.operation = fmt::format("read {}", path), .cause = cause, .next_step = next_step});
}

} // namespace

Settings Settings::read() {
    Settings settings;
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) failure = nullptr;
    if (g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &failure) == 0) {
        if (g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT) != 0) {
            return settings;
        }
        refuse(failure->message);
    }
    g_auto(GStrv) groups = g_key_file_get_groups(file, nullptr);
    for (gchar** group = groups; *group != nullptr; ++group) {
        if (std::string_view(*group) != migrate_group) {
            refuse(fmt::format("there is no group [{}]", *group), "see tapline-hook(1)");
        }
    }
    g_auto(GStrv) keys = g_key_file_get_keys(file, migrate_group, nullptr, nullptr);
    for (gchar** key = keys; key != nullptr && *key != nullptr; ++key) {
        g_autofree gchar* value = g_key_file_get_string(file, migrate_group, *key, nullptr);
        const std::string parent = value != nullptr ? value : "";
        check_interface_name(*key);
        check_interface_name(parent);
        settings.parents.emplace(*key, parent);
    }
    return settings;
}

} // namespace tapline::hooks
