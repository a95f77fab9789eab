// What a front end was refused for, as a value that a test can compare and print.
#pragma once

#include "vhost/protocol_error.h"
#include "vhost/virtqueue.h"

#include <optional>
#include <ostream>

namespace tapline::vhost {

inline void PrintTo(ProtocolFault fault, std::ostream* out) {
    *out << to_text(fault);
}

inline void PrintTo(RingFault fault, std::ostream* out) {
    *out << to_text(fault);
}

constexpr std::optional<ProtocolFault> accepted = std::nullopt;

template <typename Action> std::optional<ProtocolFault> fault_of(Action action) {
    try {
        action();
    } catch (const ProtocolError& error) {
        return error.fault();
    }
    return accepted;
}

} // namespace tapline::vhost
