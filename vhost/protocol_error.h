// What a front end can get wrong, each with a name that is logged and counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace tapline::vhost {

enum class ProtocolFault : uint8_t {
    truncated_message, // The peer closed in the middle of one.
    bad_version,
    oversized_payload,
    wrong_payload_size,
    too_many_fds,
    wrong_fd_count,
    wrong_fd_type,
    unknown_request,
    out_of_order,
    unoffered_feature,
    ring_index,
    ring_size,
    ring_address,
    memory_region,
    bad_value,
    unread_reply, // The front end lets our answers pile up.
};
constexpr size_t protocol_fault_count = static_cast<size_t>(ProtocolFault::unread_reply) + 1;

const char* to_text(ProtocolFault fault);

// The stream itself can no longer be followed, or the message has no meaning that a negative
// acknowledgement could refuse.
bool ends_session(ProtocolFault fault);

class ProtocolError : public std::runtime_error {
public:
    ProtocolError(ProtocolFault fault, const std::string& detail);
    ProtocolFault fault() const { return fault_; }

private:
    ProtocolFault fault_;
};

} // namespace tapline::vhost
