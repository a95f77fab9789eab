// The bytes of the vhost-user protocol (QEMU docs/interop/vhost-user.rst), native byte order.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tapline::vhost {

enum class Request : uint32_t {
    get_features = 1,
    set_features = 2,
    set_owner = 3,
    reset_owner = 4,
    set_mem_table = 5,
    set_log_base = 6,
    set_log_fd = 7,
    set_vring_num = 8,
    set_vring_addr = 9,
    set_vring_base = 10,
    get_vring_base = 11,
    set_vring_kick = 12,
    set_vring_call = 13,
    set_vring_err = 14,
    get_protocol_features = 15,
    set_protocol_features = 16,
    get_queue_num = 17,
    set_vring_enable = 18,
    send_rarp = 19,
    net_set_mtu = 20,
    set_backend_req_fd = 21,
    iotlb_msg = 22,
    get_inflight_fd = 31,
    set_inflight_fd = 32,
    reset_device = 34,
    get_max_mem_slots = 36,
    add_mem_reg = 37,
    rem_mem_reg = 38,
    set_status = 39,
    get_status = 40,
};

// What the back end asks of the front end, over the socket that SET_BACKEND_REQ_FD brings.
enum class BackendRequest : uint32_t {
    iotlb_msg = 1,
};

struct Header {
    uint32_t request;
    uint32_t flags;
    uint32_t size; // Bytes of payload that follow.
};
static_assert(sizeof(Header) == 12);

constexpr uint32_t version_mask = 0x3;
constexpr uint32_t version = 0x1;
constexpr uint32_t flag_reply = 1u << 2;
constexpr uint32_t flag_need_reply = 1u << 3;

constexpr uint64_t protocol_feature_mq = 1ull << 0;
constexpr uint64_t protocol_feature_log_shmfd = 1ull << 1;
constexpr uint64_t protocol_feature_rarp = 1ull << 2;
constexpr uint64_t protocol_feature_reply_ack = 1ull << 3;
constexpr uint64_t protocol_feature_net_mtu = 1ull << 4;
constexpr uint64_t protocol_feature_backend_req = 1ull << 5;
constexpr uint64_t protocol_feature_inflight_shmfd = 1ull << 12;
constexpr uint64_t protocol_feature_reset_device = 1ull << 13;
constexpr uint64_t protocol_feature_configure_mem_slots = 1ull << 15;
constexpr uint64_t protocol_feature_status = 1ull << 16;

struct VringState {
    uint32_t index;
    uint32_t num;
};
static_assert(sizeof(VringState) == 8);

struct VringAddresses { // Front-end virtual addresses.
    uint32_t index;
    uint32_t flags;
    uint64_t descriptors;
    uint64_t used;
    uint64_t available;
    uint64_t log;
};
static_assert(sizeof(VringAddresses) == 40);

constexpr uint32_t vring_flag_log = 1u << 0; // Of VringAddresses.

// The payload of SET_VRING_KICK, _CALL and _ERR.
constexpr uint64_t vring_fd_index_mask = 0xff;
constexpr uint64_t vring_fd_none = 1ull << 8;

struct MemoryRegion {
    uint64_t guest_address;
    uint64_t size;
    uint64_t user_address; // Where the front end has it mapped.
    uint64_t mmap_offset;
};
static_assert(sizeof(MemoryRegion) == 32);

constexpr size_t memory_regions_max = 8;

struct MemoryTable {
    uint32_t count;
    uint32_t padding;
    MemoryRegion regions[memory_regions_max];
};
static_assert(sizeof(MemoryTable) == 264);

struct SingleMemoryRegion {
    uint64_t padding;
    MemoryRegion region;
};
static_assert(sizeof(SingleMemoryRegion) == 40);

struct LogArea {
    uint64_t size;
    uint64_t mmap_offset;
};
static_assert(sizeof(LogArea) == 16);

struct Inflight {
    uint64_t size;
    uint64_t mmap_offset;
    uint16_t queues;
    uint16_t queue_size;
};
// With the padding that C gives it, as QEMU sends it, or without.
static_assert(sizeof(Inflight) == 24);
constexpr size_t inflight_bytes_min = 20;

// What a device may do with memory, one bit each.
enum class Access : uint8_t {
    read = 1,
    write = 2,
    both = 3,
};

constexpr bool allows(Access granted, Access wanted) {
    return (static_cast<unsigned>(wanted) & ~static_cast<unsigned>(granted)) == 0;
}

enum class IotlbKind : uint8_t {
    miss = 1, // From the back end; the others come from the front end.
    update = 2,
    invalidate = 3,
};

struct IotlbMessage {
    uint64_t address; // I/O virtual.
    uint64_t size;
    uint64_t user_address;
    Access access;
    IotlbKind kind;
};
static_assert(sizeof(IotlbMessage) == 32); // Padded as C does, as QEMU sends it, or not.
constexpr size_t iotlb_bytes_min = 26;

// Regions that may be added one by one: what QEMU and Linux have at most for a guest.
constexpr size_t memory_slots_max = 509;

constexpr size_t payload_bytes_max = sizeof(MemoryTable);
constexpr size_t fds_max = memory_regions_max;

} // namespace tapline::vhost
