// The messages of a session that share memory and take it back.
#include "backend/base/error.h"
#include "vhost/features.h"
#include "vhost/payload.h"
#include "vhost/protocol_error.h"
#include "vhost/session.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utility>

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
    renew_translations();
    for (Vring& each : rings_) {
        each.may_wait_for_memory = false;
    }
    return std::nullopt;
}

Session::Reply Session::get_max_mem_slots(Message&) {
    return reply_of(uint64_t{memory_slots_max});
}

// QEMU before 8.0 takes each queue pair for a device of its own and says both of these once a pair:
// what has been done already is no fault.
Session::Reply Session::add_mem_reg(Message& message) {
    const MemoryRegion region = read<SingleMemoryRegion>(message).region;
    if (memory_ && memory_->holds(region)) {
        return std::nullopt;
    }
    const int fd = message.fds.front().get();
    memory_ =
        memory_ ? memory_->with(region, fd) : GuestMemory::map(std::span(&region, 1), message.fds);
    renew_translations();
    return std::nullopt;
}

// A front end whose memory map changes takes regions away before it adds those that replace them,
// and does so under running rings.
Session::Reply Session::rem_mem_reg(Message& message) {
    const MemoryRegion region = read<SingleMemoryRegion>(message).region;
    if (!memory_) {
        throw ProtocolError(ProtocolFault::memory_region, "no region was ever added");
    }
    if (!memory_->holds(region)) {
        return std::nullopt;
    }
    memory_ = memory_->without(region);
    renew_translations();
    for (Vring& each : rings_) {
        each.may_wait_for_memory = each.started;
    }
    return std::nullopt;
}

Session::Reply Session::set_log_base(Message& message) {
    const auto area = read<LogArea>(message);
    log_ = std::make_shared<const DirtyLog>(
        SharedMapping::map(fmt::format("a log of {:#x} bytes", area.size),
                           message.fds.front().get(), area.mmap_offset, area.size),
        area.size);
    if ((protocol_features_ & protocol_feature_log_shmfd) == 0) {
        return std::nullopt;
    }
    return reply_of(uint64_t{0}); // QEMU waits for any answer, others for this one.
}

// The front end may be woken there at each change; it looks at the log anyway.
Session::Reply Session::set_log_fd(Message&) {
    return std::nullopt;
}

std::shared_ptr<const DirtyLog> Session::dirty_log() const {
    return has(features_, Feature::log_all) ? log_ : nullptr;
}

void Session::check_inflight(const Inflight& inflight) const {
    if (inflight.queues == 0 || inflight.queues > rings_.size() || inflight.queue_size == 0 ||
        inflight.queue_size > ring_size_max) {
        throw ProtocolError(ProtocolFault::bad_value,
                            fmt::format("in-flight tracking of {} rings of {}", inflight.queues,
                                        inflight.queue_size));
    }
}

// Nobody ever writes to the buffer. It is there for devices that return chains out of order; here
// they are returned in order and within the turn they were taken in, so after a crash the used
// index of a split ring says exactly which are still to be done. Zeros say that nothing is in
// flight.
Session::Reply Session::get_inflight_fd(Message& message) {
    constexpr uint64_t slot_bytes = 32; // Of a packed ring's region: head and each descriptor.
    auto inflight = read<Inflight>(message);
    check_inflight(inflight);
    inflight.size = inflight.queues * (1 + uint64_t{inflight.queue_size}) * slot_bytes;
    inflight.mmap_offset = 0;
    UniqueFd buffer(memfd_create("inflight", MFD_CLOEXEC));
    if (!buffer || ftruncate(buffer.get(), static_cast<off_t>(inflight.size)) < 0) {
        throw Error::from_errno("make a buffer for in-flight tracking");
    }
    Answer answer = reply_of(inflight);
    answer.payload.resize(message.header.size); // With or without padding, as it was asked.
    answer.fd = std::move(buffer);
    return answer;
}

Session::Reply Session::set_inflight_fd(Message& message) {
    const auto inflight = read<Inflight>(message);
    check_inflight(inflight);
    (void)SharedMapping::map("in-flight buffer", message.fds.front().get(), inflight.mmap_offset,
                             inflight.size);
    for (Vring& each : rings_) {
        each.inflight_is_tracked = true;
    }
    return std::nullopt;
}

} // namespace tapline::vhost
