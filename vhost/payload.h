// The payload of a message as the value it is, and back.
#pragma once

#include "vhost/message.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

namespace tapline::vhost {

// T is the whole payload, or its beginning: sizes are checked before any handler runs.
template <typename T> T read(const Message& message) {
    T value{};
    std::memcpy(&value, message.bytes.data(), std::min<size_t>(sizeof value, message.header.size));
    return value;
}

template <typename T> Answer reply_of(const T& value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    return {.payload = {bytes.begin(), bytes.end()}, .fd = {}};
}

} // namespace tapline::vhost
