#include "vhost/protocol_error.h"

#include <fmt/format.h>

namespace tapline::vhost {

const char* to_text(ProtocolFault fault) {
    switch (fault) {
    case ProtocolFault::truncated_message:
        return "truncated_message";
    case ProtocolFault::bad_version:
        return "bad_version";
    case ProtocolFault::oversized_payload:
        return "oversized_payload";
    case ProtocolFault::wrong_payload_size:
        return "wrong_payload_size";
    case ProtocolFault::too_many_fds:
        return "too_many_fds";
    case ProtocolFault::wrong_fd_count:
        return "wrong_fd_count";
    case ProtocolFault::wrong_fd_type:
        return "wrong_fd_type";
    case ProtocolFault::unknown_request:
        return "unknown_request";
    case ProtocolFault::out_of_order:
        return "out_of_order";
    case ProtocolFault::unoffered_feature:
        return "unoffered_feature";
    case ProtocolFault::ring_index:
        return "ring_index";
    case ProtocolFault::ring_size:
        return "ring_size";
    case ProtocolFault::ring_address:
        return "ring_address";
    case ProtocolFault::memory_region:
        return "memory_region";
    case ProtocolFault::bad_value:
        return "bad_value";
    case ProtocolFault::unread_reply:
        return "unread_reply";
    }
    return "unknown";
}

bool ends_session(ProtocolFault fault) {
    switch (fault) {
    case ProtocolFault::truncated_message:
    case ProtocolFault::bad_version:
    case ProtocolFault::oversized_payload:
    case ProtocolFault::too_many_fds:
    case ProtocolFault::unread_reply:
        return true;
    case ProtocolFault::wrong_payload_size:
    case ProtocolFault::wrong_fd_count:
    case ProtocolFault::wrong_fd_type:
    case ProtocolFault::unknown_request:
    case ProtocolFault::out_of_order:
    case ProtocolFault::unoffered_feature:
    case ProtocolFault::ring_index:
    case ProtocolFault::ring_size:
    case ProtocolFault::ring_address:
    case ProtocolFault::memory_region:
    case ProtocolFault::bad_value:
        return false;
    }
    return true;
}

ProtocolError::ProtocolError(ProtocolFault fault, const std::string& detail)
    : std::runtime_error(fmt::format("{}: {}", to_text(fault), detail)), fault_(fault) {}

} // namespace tapline::vhost
