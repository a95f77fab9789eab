// A number in JSON that others may have written: nlohmann itself cuts off what does not fit.
#pragma once

#include "backend/base/error.h"

#include <nlohmann/json.hpp>

#include <concepts>
#include <cstdint>
#include <utility>

namespace tapline {

// Throws Error for anything but a whole number from 1 that T holds.
template <std::integral T> T whole_number(const nlohmann::json& json) {
    const uint64_t value = json.is_number_unsigned() ? json.get<uint64_t>() : 0;
    if (value == 0 || !std::in_range<T>(value)) {
        throw Error({.operation = "read a number", .cause = "not a whole one in its range"});
    }
    return static_cast<T>(value);
}

} // namespace tapline
