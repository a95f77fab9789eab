// The messages of a session that share memory and take it back.
#include "vhost/payload.h"
#include "vhost/protocol_error.h"
#include "vhost/session.h"

#include <fmt/format.h>

namespace tapline::vhost {

Session::Reply Session::set_mem_table(Message& message) {
    const auto table = read<MemoryTable>(message);
    if (table.count > memory_regions_max ||
        message.header.size < offsetof(MemoryTable, regions) + table.count * sizeof(MemoryRegion)) {
        throw ProtocolError(ProtocolFault::wrong_payload_size,
                            fmt::format("{} bytes cannot hold {} memory regions",
                                        message.header.size, table.count));
    }
    if (message.fds.size() != table.count) {
        throw ProtocolError(ProtocolFault::wrong_fd_count,
                            fmt::format("{} descriptors came for {} memory regions",
                                        message.fds.size(), table.count));
    }
    memory_ = GuestMemory::map(std::span(table.regions).first(table.count), message.fds);
    for (Vring& each : rings_) {
        each.may_wait_for_memory = false;
    }
    return std::nullopt;
}

Session::Reply Session::get_max_mem_slots(Message&) {
    return reply_of(uint64_t{memory_slots_max});
}

Session::Reply Session::add_mem_reg(Message& message) {
    const MemoryRegion region = read<SingleMemoryRegion>(message).region;
    const int fd = message.fds.front().get();
    memory_ =
        memory_ ? memory_->with(region, fd) : GuestMemory::map(std::span(&region, 1), message.fds);
    return std::nullopt;
}

// A front end whose memory map changes takes regions away before it adds those that replace them,
// and does so under running rings.
Session::Reply Session::rem_mem_reg(Message& message) {
    const MemoryRegion region = read<SingleMemoryRegion>(message).region;
    if (!memory_) {
        throw ProtocolError(ProtocolFault::memory_region, "no region was ever added");
    }
    memory_ = memory_->without(region);
    for (Vring& each : rings_) {
        each.may_wait_for_memory = each.started;
    }
    return std::nullopt;
}

} // namespace tapline::vhost
