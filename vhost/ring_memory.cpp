#include "vhost/ring_memory.h"

#include "vhost/protocol_error.h"

#include <fmt/format.h>

#include <algorithm>

namespace tapline::vhost {
namespace {

std::byte* locate(const GuestMemory& memory, const RingPart& part) {
    std::byte* found = memory.at_user_address(part.address, part.bytes);
    if (found == nullptr || reinterpret_cast<uintptr_t>(found) % part.alignment != 0) {
        throw ProtocolError(
            ProtocolFault::ring_address,
            fmt::format("{} at {:#x} {}", part.name, part.address,
                        found == nullptr ? "lies outside the shared memory" : "is not aligned"));
    }
    return found;
}

void check_apart(const RingPart& a, const RingPart& b) {
    if (a.address < b.address + b.bytes && b.address < a.address + a.bytes) {
        throw ProtocolError(
            ProtocolFault::ring_address,
            fmt::format("parts of the ring overlap at {:#x}", std::max(a.address, b.address)));
    }
}

} // namespace

std::array<std::byte*, 3> locate(const GuestMemory& memory, const std::array<RingPart, 3>& parts) {
    std::array<std::byte*, 3> found{};
    for (size_t i = 0; i < parts.size(); ++i) {
        found[i] = locate(memory, parts[i]);
    }
    for (size_t i = 0; i < parts.size(); ++i) {
        check_apart(parts[i], parts[(i + 1) % parts.size()]);
    }
    return found;
}

} // namespace tapline::vhost
