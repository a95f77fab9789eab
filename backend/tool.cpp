#include "backend/tool.h"

#include <glib.h>
#include <sys/wait.h>

#include <algorithm>
#include <iterator>

namespace tapline {

std::optional<Answer> answer_of(std::vector<std::string> command) {
    std::vector<char*> argv;
    std::ranges::transform(command, std::back_inserter(argv),
                           [](std::string& argument) { return argument.data(); });
    argv.push_back(nullptr);
    g_autofree gchar* output = nullptr;
    g_autofree gchar* errors = nullptr;
    gint status = 0;
    constexpr auto flags =
        static_cast<GSpawnFlags>(G_SPAWN_SEARCH_PATH | G_SPAWN_CHILD_INHERITS_STDIN);
    if (!g_spawn_sync(nullptr, argv.data(), nullptr, flags, nullptr, nullptr, &output, &errors,
                      &status, nullptr)) {
        return std::nullopt;
    }
    return Answer{.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
                  .output = output,
                  .errors = errors};
}

} // namespace tapline
