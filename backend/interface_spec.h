// What one guest NIC shall be on the host side. Every way in (argv, XML, hook) ends in this value.
#pragma once

#include "backend/mac_address.h"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tapline {

// Values and names as in linux/if_link.h and `ip link`.
enum class MacvlanMode : uint32_t {
    private_mode = 1,
    vepa = 2,
    bridge = 4,
    passthru = 8,
    source = 16,
};
const char* to_text(MacvlanMode mode);

enum class DeviceKind { macvtap, ipvtap };
const char* to_text(DeviceKind kind);

// Which multicast groups reach the guest: all of them, those its host joined for it, or none.
enum class MulticastPolicy { all, joined, none };
const char* to_text(MulticastPolicy policy);

struct Owner {
    uid_t user;
    gid_t group;
};

// One interface as text; what is absent takes its default.
struct InterfaceText {
    std::optional<std::string> parent;
    std::optional<std::string> name;
    std::optional<std::string> mac;
    std::optional<std::string> mode;
    std::optional<std::string> kind;
    std::optional<std::string> mtu;
    std::optional<std::string> queues;
    std::optional<std::string> queue_length;
    std::optional<std::string> multicast;
    std::optional<std::string> owner;
    std::vector<std::string> allow;
};

class InterfaceSpec {
public:
    // Throws Error for the first value that no device could have.
    static InterfaceSpec parse(const InterfaceText& text);

    const std::string& parent() const { return parent_; }
    const std::optional<std::string>& name() const { return name_; } // Absent: the first free tlN.
    MacAddress mac() const { return mac_; }
    MacvlanMode mode() const { return mode_; }
    DeviceKind kind() const { return kind_; }
    std::optional<uint32_t> mtu() const { return mtu_; } // Bytes; absent: the parent's.
    uint16_t queue_pairs() const { return queue_pairs_; }
    uint32_t queue_length() const { return queue_length_; } // Frames.
    MulticastPolicy multicast() const { return multicast_; }
    const std::optional<Owner>& owner() const { return owner_; }
    const std::vector<MacAddress>& allowed_macs() const { return allowed_macs_; }

private:
    InterfaceSpec(std::string parent, MacAddress mac) : parent_(std::move(parent)), mac_(mac) {}

    std::string parent_;
    std::optional<std::string> name_;
    MacAddress mac_;
    MacvlanMode mode_ = MacvlanMode::bridge;
    DeviceKind kind_ = DeviceKind::macvtap;
    std::optional<uint32_t> mtu_;
    uint16_t queue_pairs_ = 1;
    uint32_t queue_length_ = 1024;
    MulticastPolicy multicast_ = MulticastPolicy::all;
    std::optional<Owner> owner_;
    std::vector<MacAddress> allowed_macs_;
};

// Throws Error unless the kernel would take text as the name of an interface.
void check_interface_name(const std::string& text);

} // namespace tapline
