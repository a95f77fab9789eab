#include "vhost/session.h"

#include "vhost/features.h"
#include "vhost/payload.h"
#include "vhost/protocol_error.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>

namespace tapline::vhost {
namespace {

constexpr uint64_t offered_protocol_features =
    protocol_feature_mq | protocol_feature_log_shmfd | protocol_feature_rarp |
    protocol_feature_reply_ack | protocol_feature_net_mtu | protocol_feature_backend_req |
    protocol_feature_inflight_shmfd | protocol_feature_reset_device |
    protocol_feature_configure_mem_slots | protocol_feature_status;

constexpr uint64_t mtu_min = 68; // RFC 791

void check_offered(uint64_t wanted, uint64_t offered) {
    if ((wanted & ~offered) != 0) {
        throw ProtocolError(ProtocolFault::unoffered_feature,
                            fmt::format("bits {:#x} were never offered", wanted & ~offered));
    }
}

// An eventfd has no file type. A file that is always ready would keep a worker awake for ever.
bool is_eventfd(int fd) {
    struct stat facts {};
    return fstat(fd, &facts) == 0 && (facts.st_mode & S_IFMT) == 0;
}

} // namespace

struct Session::Handler {
    enum class Touches : uint8_t { nothing, ring_of_state, ring_of_fd, rings_of_iotlb, all_rings };

    Request request;
    size_t bytes_min; // Of payload.
    size_t bytes_max;
    size_t fds_min;
    size_t fds_max;
    Touches touches;
    Reply (Session::*run)(Message&);
};

const Session::Handler* Session::find_handler(uint32_t request) {
    using enum Handler::Touches;
    using enum Request;
    using S = Session;
    constexpr size_t u64 = sizeof(uint64_t);
    constexpr size_t state = sizeof(VringState);
    constexpr size_t addresses = sizeof(VringAddresses);
    constexpr size_t table_min = offsetof(MemoryTable, regions);
    constexpr size_t table_max = sizeof(MemoryTable);
    constexpr size_t log = sizeof(LogArea);
    constexpr size_t inflight_min = inflight_bytes_min;
    constexpr size_t inflight = sizeof(Inflight);
    constexpr size_t region = sizeof(SingleMemoryRegion);
    constexpr size_t iotlb_min = iotlb_bytes_min;
    constexpr size_t iotlb = sizeof(IotlbMessage);
    static constexpr auto handlers = std::to_array<Handler>({
        {get_features, 0, 0, 0, 0, nothing, &S::get_features},
        {set_features, u64, u64, 0, 0, all_rings, &S::set_features},
        {set_owner, 0, 0, 0, 0, nothing, &S::set_owner},
        {reset_owner, 0, 0, 0, 0, all_rings, &S::reset_owner},
        {set_mem_table, table_min, table_max, 0, fds_max, all_rings, &S::set_mem_table},
        {set_vring_num, state, state, 0, 0, ring_of_state, &S::set_vring_num},
        {set_vring_addr, addresses, addresses, 0, 0, ring_of_state, &S::set_vring_addr},
        {set_vring_base, state, state, 0, 0, ring_of_state, &S::set_vring_base},
        {get_vring_base, state, state, 0, 0, ring_of_state, &S::get_vring_base},
        {set_vring_kick, u64, u64, 0, 1, ring_of_fd, &S::set_vring_kick},
        {set_vring_call, u64, u64, 0, 1, ring_of_fd, &S::set_vring_call},
        {set_vring_err, u64, u64, 0, 1, ring_of_fd, &S::set_vring_err},
        {get_protocol_features, 0, 0, 0, 0, nothing, &S::get_protocol_features},
        {set_protocol_features, u64, u64, 0, 0, all_rings, &S::set_protocol_features},
        {get_queue_num, 0, 0, 0, 0, nothing, &S::get_queue_num},
        {set_vring_enable, state, state, 0, 0, ring_of_state, &S::set_vring_enable},
        {set_backend_req_fd, 0, u64, 1, 1, nothing, &S::set_backend_req_fd},
        {iotlb_msg, iotlb_min, iotlb, 0, 0, rings_of_iotlb, &S::iotlb_msg},
        {set_log_base, log, log, 1, 1, all_rings, &S::set_log_base},
        {set_log_fd, 0, u64, 1, 1, nothing, &S::set_log_fd},
        {get_inflight_fd, inflight_min, inflight, 0, 0, nothing, &S::get_inflight_fd},
        {set_inflight_fd, inflight_min, inflight, 1, 1, all_rings, &S::set_inflight_fd},
        {send_rarp, u64, u64, 0, 0, nothing, &S::send_rarp},
        {net_set_mtu, u64, u64, 0, 0, nothing, &S::net_set_mtu},
        {reset_device, 0, 0, 0, 0, all_rings, &S::reset_device},
        {set_status, u64, u64, 0, 0, all_rings, &S::set_status},
        {get_status, 0, 0, 0, 0, nothing, &S::get_status},
        {get_max_mem_slots, 0, 0, 0, 0, nothing, &S::get_max_mem_slots},
        {add_mem_reg, region, region, 1, 1, all_rings, &S::add_mem_reg},
        {rem_mem_reg, region, region, 0, 1, all_rings, &S::rem_mem_reg}, // Some send one, unasked.
    });
    const auto* found = std::ranges::find(handlers, Request{request}, &Handler::request);
    return found == handlers.end() ? nullptr : found;
}

void Session::check(const Handler& handler, const Message& message) {
    const size_t size = message.header.size;
    if (size < handler.bytes_min || size > handler.bytes_max) {
        throw ProtocolError(ProtocolFault::wrong_payload_size,
                            fmt::format("request {} came with {} bytes instead of {}",
                                        message.header.request, size, handler.bytes_min));
    }
    const size_t fds = message.fds.size();
    if (fds < handler.fds_min || fds > handler.fds_max) {
        throw ProtocolError(ProtocolFault::wrong_fd_count,
                            fmt::format("request {} came with {} descriptors, not {}",
                                        message.header.request, fds, handler.fds_max));
    }
}

Session::Session(const Offer& offer)
    : offer_({.features = offer.features | bits(Feature::protocol_features, Feature::log_all),
              .queue_pairs = offer.queue_pairs,
              .mtu_max = offer.mtu_max}),
      rings_(size_t{2} * offer.queue_pairs) {}

Session::PairRange Session::affected_pairs(const Message& message) const {
    constexpr PairRange none{0, 0};
    const Handler* handler = find_handler(message.header.request);
    if (handler == nullptr || handler->touches == Handler::Touches::nothing) {
        return none;
    }
    if (handler->touches == Handler::Touches::all_rings) {
        return {0, offer_.queue_pairs};
    }
    if (handler->touches == Handler::Touches::rings_of_iotlb) {
        return pairs_on(read<IotlbMessage>(message));
    }
    const uint64_t ring = handler->touches == Handler::Touches::ring_of_fd
                              ? read<uint64_t>(message) & vring_fd_index_mask
                              : read<VringState>(message).index;
    if (ring >= rings_.size()) {
        return none; // handle() will refuse it.
    }
    const auto pair = static_cast<uint16_t>(ring / 2);
    return {pair, static_cast<uint16_t>(pair + 1)};
}

Session::Reply Session::handle(Message message) {
    const Handler* handler = find_handler(message.header.request);
    if (handler == nullptr) {
        throw ProtocolError(ProtocolFault::unknown_request,
                            fmt::format("request {}", message.header.request));
    }
    check(*handler, message);
    return (this->*handler->run)(message);
}

bool Session::acknowledges() const {
    return (protocol_features_ & protocol_feature_reply_ack) != 0;
}

bool Session::ring_is_enabled(uint16_t ring) const {
    return rings_[ring].enabled || !has(features_, Feature::protocol_features);
}

bool Session::ring_runs(uint16_t ring) const {
    const Vring& each = rings_[ring];
    return each.started && each.size > 0 && each.addresses && memory_;
}

Vring& Session::ring(uint64_t index) {
    if (index >= rings_.size()) {
        throw ProtocolError(ProtocolFault::ring_index,
                            fmt::format("ring {} of {}: the front end uses more than {} queue "
                                        "pairs, which is what --queues gives it",
                                        index, rings_.size(), offer_.queue_pairs));
    }
    return rings_[index];
}

Vring& Session::stopped_ring(uint64_t index) {
    Vring& found = ring(index);
    const auto number = static_cast<uint16_t>(index);
    if (ring_runs(number) && !ring_is_enabled(number)) {
        // Some front ends reset a device by disabling its rings only.
        found.started = found.set_up_since_kick;
    } else if (ring_runs(number)) {
        throw ProtocolError(ProtocolFault::out_of_order,
                            fmt::format("ring {} cannot change while it runs", index));
    }
    return found;
}

std::pair<Vring&, UniqueFd> Session::ring_and_fd(Message& message) {
    const auto value = read<uint64_t>(message);
    Vring& found = ring(value & vring_fd_index_mask);
    const bool announced = (value & vring_fd_none) == 0;
    if (announced != (message.fds.size() == 1)) {
        throw ProtocolError(ProtocolFault::wrong_fd_count,
                            fmt::format("request {} came with {} descriptors",
                                        message.header.request, message.fds.size()));
    }
    if (announced && !is_eventfd(message.fds.front().get())) {
        throw ProtocolError(ProtocolFault::wrong_fd_type,
                            fmt::format("request {} came with a descriptor that is no eventfd",
                                        message.header.request));
    }
    return {found, announced ? std::move(message.fds.front()) : UniqueFd()};
}

Session::Reply Session::get_features(Message&) {
    return reply_of(offer_.features);
}

Session::Reply Session::set_features(Message& message) {
    const auto wanted = read<uint64_t>(message);
    check_offered(wanted, offer_.features);
    features_ = wanted;
    renew_translations();
    return std::nullopt;
}

Session::Reply Session::get_protocol_features(Message&) {
    return reply_of(offered_protocol_features);
}

Session::Reply Session::set_protocol_features(Message& message) {
    const auto wanted = read<uint64_t>(message);
    check_offered(wanted, offered_protocol_features);
    protocol_features_ = wanted;
    renew_translations();
    return std::nullopt;
}

Session::Reply Session::get_queue_num(Message&) {
    // The specification names no unit. QEMU takes the answer for pairs, and needs as many as it was
    // told to use; Cloud Hypervisor and crosvm take it for rings, and the latter gives the guest as
    // many. Rings satisfy them all: QEMU learns that it wants too many at the first ring instead.
    return reply_of(uint64_t{rings_.size()});
}

Session::Reply Session::set_owner(Message&) {
    return std::nullopt;
}

Session::Reply Session::reset_owner(Message&) {
    for (Vring& each : rings_) {
        each.enabled = false;
    }
    return std::nullopt;
}

Session::Reply Session::set_vring_num(Message& message) {
    const auto state = read<VringState>(message);
    const bool packed = has(features_, Feature::ring_packed); // 2.8.10.1: any size will do.
    if (state.num == 0 || state.num > ring_size_max ||
        (!packed && !std::has_single_bit(state.num))) {
        throw ProtocolError(ProtocolFault::ring_size,
                            fmt::format("{} is no {} up to {}", state.num,
                                        packed ? "size" : "power of two", ring_size_max));
    }
    stopped_ring(state.index).size = state.num;
    return std::nullopt;
}

Session::Reply Session::set_vring_addr(Message& message) {
    const auto addresses = read<VringAddresses>(message);
    ring(addresses.index).addresses = addresses;
    return std::nullopt;
}

Session::Reply Session::set_vring_base(Message& message) {
    const auto state = read<VringState>(message);
    if (state.num > UINT16_MAX && !has(features_, Feature::ring_packed)) {
        throw ProtocolError(ProtocolFault::ring_index,
                            fmt::format("base {} has more than 16 bits", state.num));
    }
    stopped_ring(state.index).base = state.num;
    return std::nullopt;
}

Session::Reply Session::get_vring_base(Message& message) {
    const uint32_t index = read<VringState>(message).index;
    Vring& target = ring(index);
    target.started = false;
    target.kick.reset();
    forget_translations();
    return reply_of(VringState{.index = index, .num = target.base.value_or(0)});
}

Session::Reply Session::set_vring_kick(Message& message) {
    auto [target, fd] = ring_and_fd(message);
    target.kick = std::move(fd);
    target.started = true;
    target.set_up_since_kick = !ring_runs(static_cast<uint16_t>(&target - rings_.data()));
    target.may_wait_for_memory = memory_ == nullptr;
    return std::nullopt;
}

Session::Reply Session::set_vring_call(Message& message) {
    auto [target, fd] = ring_and_fd(message);
    target.call = std::move(fd);
    target.call_is_new = true;
    return std::nullopt;
}

Session::Reply Session::set_vring_err(Message& message) {
    auto [target, fd] = ring_and_fd(message);
    target.error = std::move(fd);
    return std::nullopt;
}

Session::Reply Session::set_vring_enable(Message& message) {
    const auto state = read<VringState>(message);
    // QEMU sends this before SET_FEATURES, when nothing tells yet whether the message is allowed.
    if (state.num > 1) {
        throw ProtocolError(ProtocolFault::ring_index,
                            fmt::format("{} neither enables nor disables", state.num));
    }
    Vring& target = ring(state.index);
    target.enabled = state.num == 1;
    target.set_up_since_kick = target.set_up_since_kick && !target.enabled;
    return std::nullopt;
}

Session::Reply Session::send_rarp(Message& message) {
    const auto station = read<Station>(message);
    if ((station[0] & 1) != 0 || station == Station{}) {
        throw ProtocolError(ProtocolFault::bad_value,
                            "no station can have the address to announce");
    }
    announcement_ = station;
    return std::nullopt;
}

Session::Reply Session::net_set_mtu(Message& message) {
    const auto mtu = read<uint64_t>(message);
    if (mtu < mtu_min || mtu > offer_.mtu_max) {
        throw ProtocolError(ProtocolFault::bad_value,
                            fmt::format("the guest shall have an MTU of {} bytes, the device "
                                        "carries {} to {}: change host_mtu or the device's MTU",
                                        mtu, mtu_min, offer_.mtu_max));
    }
    return std::nullopt;
}

Session::Reply Session::reset_device(Message&) {
    stop_all_rings();
    for (Vring& each : rings_) {
        each.base.reset();
    }
    return std::nullopt;
}

Session::Reply Session::set_status(Message& message) {
    const auto status = read<uint64_t>(message);
    if (status > UINT8_MAX) {
        throw ProtocolError(ProtocolFault::bad_value,
                            fmt::format("a device status has 8 bits: {:#x}", status));
    }
    if (status == 0) { // virtio 1.2, 2.1.2: this resets the device.
        stop_all_rings();
    }
    status_ = static_cast<uint8_t>(status);
    return std::nullopt;
}

Session::Reply Session::get_status(Message&) {
    return reply_of(uint64_t{status_});
}

// Memory and descriptors for calls stay: QEMU does not repeat what it told of them before. So do
// the bases, as QEMU 7.2 sets the status to 0 when it pauses a guest, and asks for them then. Where
// a ring was is forgotten: its next start may come before the new addresses.
void Session::stop_all_rings() {
    for (Vring& each : rings_) {
        each.kick.reset();
        each.addresses.reset();
        each.started = false;
        each.enabled = false;
    }
    forget_translations();
    status_ = 0;
}

} // namespace tapline::vhost
