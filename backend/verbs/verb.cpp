#include "backend/verbs/verb.h"

#include "backend/base/error.h"
#include "backend/base/output.h"

#include <fmt/format.h>
#include <glib.h>

#include <algorithm>

namespace tapline {

const Verb* find_verb(std::span<const Verb> verbs, const std::string& name) {
    const auto found =
        std::ranges::find_if(verbs, [&](const Verb& verb) { return name == verb.name; });
    return found == verbs.end() ? nullptr : &*found;
}

int run_verb(const Verb& verb, const Arguments& program_arguments) {
    Arguments arguments(program_arguments.begin() + 1, program_arguments.end());
    arguments.front() = fmt::format("{} {}", program_arguments.front(), verb.name);
    g_set_prgname(arguments.front().c_str());
    return verb.run(arguments);
}

int run_one_of(std::span<const Verb> verbs, const Arguments& arguments) {
    const std::string name = arguments.size() < 2 ? "" : arguments[1];
    if (name == "--help" || name == "-h") {
        print("Usage: {} VERB [OPTION...]\n\n{}", arguments.front(), help_of(verbs));
        return 0;
    }
    const Verb* verb = find_verb(verbs, name);
    if (verb == nullptr) {
        throw UsageError(
            fmt::format("{}: see `{} --help`",
                        name.empty() ? "no verb was given" : fmt::format("no verb '{}'", name),
                        arguments.front()));
    }
    return run_verb(*verb, arguments);
}

std::string help_of(std::span<const Verb> verbs) {
    std::string text;
    for (const Verb& verb : verbs) {
        text += fmt::format("  {:<10} {}\n", verb.name, verb.help);
    }
    return text;
}

} // namespace tapline
