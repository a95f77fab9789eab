#include "backend/doctor/check.h"

#include <glib.h>

#include <algorithm>
#include <iterator>

namespace tapline::doctor {

const char* to_text(State state) {
    switch (state) {
    case State::ok:
        return "ok";
    case State::limited:
        return "limited";
    case State::broken:
        return "broken";
    }
    return "unknown";
}

State worst_of(const Checks& checks) {
    State worst = State::ok;
    for (const Check& check : checks) {
        worst = std::max(worst, check.state);
    }
    return worst;
}

std::string shell_word(const std::string& text) {
    const auto is_plain = [](char c) {
        return g_ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
    };
    if (!text.empty() && std::ranges::all_of(text, is_plain)) {
        return text;
    }
    const g_autofree gchar* quoted = g_shell_quote(text.c_str());
    return quoted;
}

void append(Checks& checks, Checks more) {
    checks.insert(checks.end(), std::make_move_iterator(more.begin()),
                  std::make_move_iterator(more.end()));
}

} // namespace tapline::doctor
