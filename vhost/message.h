// One whole vhost-user message as it came in, with the descriptors it brought, and what goes back.
#pragma once

#include "backend/base/unique_fd.h"
#include "vhost/protocol.h"

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace tapline::vhost {

struct Message {
    Header header{};
    std::array<std::byte, payload_bytes_max> bytes{};
    std::vector<UniqueFd> fds;

    Request request() const { return static_cast<Request>(header.request); }
    bool needs_reply() const { return (header.flags & flag_need_reply) != 0; }
    std::span<const std::byte> payload() const { return {bytes.data(), header.size}; }
};

struct Answer {
    std::vector<std::byte> payload;
    UniqueFd fd; // Mostly none.
};

} // namespace tapline::vhost
