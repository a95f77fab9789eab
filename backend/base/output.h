// What a program tells on standard output. Whoever cannot be told gets an Error, not silence.
#pragma once

#include <fmt/format.h>

#include <string>

namespace tapline {

// Written at once, whole or with an Error.
void print_text(const std::string& text);

template <typename... Args> void print(fmt::format_string<Args...> format, Args&&... args) {
    print_text(fmt::format(format, std::forward<Args>(args)...));
}

} // namespace tapline
