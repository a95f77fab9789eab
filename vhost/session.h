// What the messages of one front end mean: features, memory and the control side of its rings.
// Knows no packet. Whoever runs the rings asks affected_pairs() before handle(),
// takes their rings out of use, and afterwards starts those of which ring_runs() is true.
#pragma once

#include "vhost/backend_channel.h"
#include "vhost/dirty_log.h"
#include "vhost/guest_memory.h"
#include "vhost/iotlb.h"
#include "vhost/message.h"
#include "vhost/vring.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace tapline::vhost {

// Rings come in pairs: 2k carries wire to guest, 2k + 1 guest to wire (virtio 1.2, 5.1.2).
constexpr uint16_t ring_of_wire_to_guest(uint16_t pair) {
    return static_cast<uint16_t>(2 * pair);
}
constexpr uint16_t ring_of_guest_to_wire(uint16_t pair) {
    return static_cast<uint16_t>(2 * pair + 1);
}

constexpr uint32_t ring_size_max = 32768; // virtio 1.2, 2.7

class Session {
public:
    struct Offer {
        uint64_t features; // Virtio bits; the session adds those of vhost-user itself.
        uint16_t queue_pairs;
        uint32_t mtu_max = UINT16_MAX; // Bytes the device carries.
    };

    explicit Session(const Offer& offer);

    // Queue pairs [begin, end) whose rings a message may change.
    struct PairRange {
        uint16_t begin;
        uint16_t end;
    };
    PairRange affected_pairs(const Message& message) const;

    // The answer, where the request has one. Throws ProtocolError; what was said
    // before stays as it was.
    using Reply = std::optional<Answer>;
    Reply handle(Message message);

    // The station that the last message asked to announce on the wire, told once.
    using Station = std::array<uint8_t, 6>;
    std::optional<Station> take_announcement() { return std::exchange(announcement_, {}); }

    // Whether the front end may be told the outcome of requests that have no answer of their own.
    bool acknowledges() const;

    std::vector<Vring>& rings() { return rings_; }
    const std::vector<Vring>& rings() const { return rings_; }
    // Without protocol features a ring has no enable message: to start it is to enable it.
    bool ring_is_enabled(uint16_t ring) const;
    // Started, and all is known that it takes to run.
    bool ring_runs(uint16_t ring) const;
    uint64_t features() const { return features_; }
    const std::shared_ptr<const GuestMemory>& memory() const { return memory_; }
    // Where I/O virtual addresses lie; null where rings hold guest physical ones, or nothing has
    // been told yet.
    const std::shared_ptr<const Iotlb>& iotlb() const { return iotlb_; }
    // Whether it is known where all of a ring lies; what is not is asked for.
    bool locate(const Vring& ring);
    // Asks for what a worker has missed, unless it was told meanwhile.
    void ask(const IotlbMiss& miss);
    // What was asked for and is not told yet.
    BackendChannel& requests() { return requests_; }
    // Where to mark what is written; nothing while the front end does not want to know.
    std::shared_ptr<const DirtyLog> dirty_log() const;

private:
    struct Handler;
    static const Handler* find_handler(uint32_t request);
    static void check(const Handler& handler, const Message& message);

    Reply get_features(Message& message);
    Reply set_features(Message& message);
    Reply get_protocol_features(Message& message);
    Reply set_protocol_features(Message& message);
    Reply get_queue_num(Message& message);
    Reply set_owner(Message& message);
    Reply reset_owner(Message& message);
    Reply set_mem_table(Message& message);
    Reply set_vring_num(Message& message);
    Reply set_vring_addr(Message& message);
    Reply set_vring_base(Message& message);
    Reply get_vring_base(Message& message);
    Reply set_vring_kick(Message& message);
    Reply set_vring_call(Message& message);
    Reply set_vring_err(Message& message);
    Reply set_vring_enable(Message& message);
    Reply send_rarp(Message& message);
    Reply net_set_mtu(Message& message);
    Reply reset_device(Message& message);
    Reply set_status(Message& message);
    Reply get_status(Message& message);
    Reply set_backend_req_fd(Message& message);
    Reply iotlb_msg(Message& message);
    Reply set_log_base(Message& message);
    Reply set_log_fd(Message& message);
    Reply get_inflight_fd(Message& message);
    Reply set_inflight_fd(Message& message);
    Reply get_max_mem_slots(Message& message);
    Reply add_mem_reg(Message& message);
    Reply rem_mem_reg(Message& message);

    PairRange pairs_on(const IotlbMessage& message) const;
    bool may_translate() const;
    void renew_translations();
    void forget_translations();
    void check_inflight(const Inflight& inflight) const;
    void stop_all_rings();
    Vring& ring(uint64_t index);
    Vring& stopped_ring(uint64_t index);
    // The ring of a SET_VRING_KICK, _CALL or _ERR and the descriptor that came for it, if any.
    std::pair<Vring&, UniqueFd> ring_and_fd(Message& message);

    const Offer offer_;
    uint64_t features_ = 0;
    uint64_t protocol_features_ = 0;
    std::shared_ptr<const GuestMemory> memory_;
    std::shared_ptr<const Iotlb> iotlb_;
    BackendChannel requests_;
    std::shared_ptr<const DirtyLog> log_;
    std::vector<Vring> rings_;
    uint8_t status_ = 0; // Of the virtio device, as the front end tells it.
    std::optional<Station> announcement_;
};

} // namespace tapline::vhost
