// Numbers from outside text: whole, decimal and within bounds, or an Error that names them.
#pragma once

#include "backend/base/error.h"

#include <fmt/format.h>

#include <charconv>
#include <concepts>
#include <string_view>
#include <system_error>

namespace tapline {

template <std::integral T>
T parse_number(std::string_view what, std::string_view text, T min, T max) {
    T value{};
    const char* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, value);
    if (failure != std::errc{} || stop != end || value < min || value > max) {
        throw Error({.operation = fmt::format("read {} '{}'", what, text),
                     .cause = fmt::format("not a number from {} to {}", min, max)});
    }
    return value;
}

} // namespace tapline
