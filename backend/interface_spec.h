// What one guest NIC shall be on the host side. Every way in (argv, XML, hook) ends in this value.
#pragma once

#include "backend/mac_address.h"

#include <sys/types.h>

#include <array>
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

// Both give the guest /dev/tapN. An ipvtap shares its parent's MAC address and tells its guests
// apart by their IP addresses; its modes are bridge, vepa and private.
enum class DeviceKind { macvtap, ipvtap };
const char* to_text(DeviceKind kind);

// How far up an ipvtap looks: Ethernet, IP, or IP with the host's netfilter (IPVLAN_MODE_*).
enum class IpvlanLayer : uint16_t { l2 = 0, l3 = 1, l3s = 2 };
const char* to_text(IpvlanLayer layer);
// IPVLAN_F_* of an ipvtap in this mode.
uint16_t ipvlan_flags(MacvlanMode mode);

// Which multicast groups reach the guest: all of them, those its host joined for it, or none.
enum class MulticastPolicy { all, joined, none };
const char* to_text(MulticastPolicy policy);

// Whether a device in mode passthru makes its parent promiscuous.
enum class Promiscuity { promiscuous, unchanged };

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
    std::optional<std::string> layer;
    std::optional<std::string> mtu;
    std::optional<std::string> queues;
    std::optional<std::string> queue_length;
    std::optional<std::string> broadcast_queue_length;
    std::optional<std::string> multicast;
    std::optional<std::string> owner;
    std::optional<std::string> node_mode;
    std::vector<std::string> allow;
    bool nopromisc = false;

    // Whether it says more than which parent and how many queues.
    bool describes_device() const;
};

class InterfaceSpec {
public:
    // Throws Error for the first value that no device could have.
    static InterfaceSpec parse(const InterfaceText& text);

    const std::string& parent() const { return parent_; }
    const std::optional<std::string>& name() const { return name_; } // Absent: the first free tlN.
    std::optional<MacAddress> mac() const { return mac_; } // Absent: random, or the parent's.
    MacvlanMode mode() const { return mode_; }
    Promiscuity promiscuity() const { return promiscuity_; }
    DeviceKind kind() const { return kind_; }
    IpvlanLayer layer() const { return layer_; }
    std::optional<uint32_t> mtu() const { return mtu_; } // Bytes; absent: the parent's.
    uint16_t queue_pairs() const { return queue_pairs_; }
    uint32_t queue_length() const { return queue_length_; } // Frames.
    // Frames that wait for the copy to each device of the parent; absent: the kernel's.
    std::optional<uint32_t> broadcast_queue_length() const { return broadcast_queue_length_; }
    MulticastPolicy multicast() const { return multicast_; }
    const std::optional<Owner>& owner() const { return owner_; }
    std::optional<mode_t> node_mode() const { return node_mode_; } // Of /dev/tapN.
    const std::vector<MacAddress>& allowed_macs() const { return allowed_macs_; }

private:
    explicit InterfaceSpec(std::string parent) : parent_(std::move(parent)) {}

    std::string parent_;
    std::optional<std::string> name_;
    std::optional<MacAddress> mac_;
    MacvlanMode mode_ = MacvlanMode::bridge;
    Promiscuity promiscuity_ = Promiscuity::promiscuous;
    DeviceKind kind_ = DeviceKind::macvtap;
    IpvlanLayer layer_ = IpvlanLayer::l2;
    std::optional<uint32_t> mtu_;
    uint16_t queue_pairs_ = 1;
    uint32_t queue_length_ = 1024;
    std::optional<uint32_t> broadcast_queue_length_;
    MulticastPolicy multicast_ = MulticastPolicy::all;
    std::optional<Owner> owner_;
    std::optional<mode_t> node_mode_;
    std::vector<MacAddress> allowed_macs_;
};

// Throws Error unless the kernel would take text as the name of an interface.
void check_interface_name(const std::string& text);

// libvirt takes names that begin like this as its own.
inline constexpr std::array reserved_name_prefixes{"vnet", "vif", "macvtap", "macvlan"};

// Throws Error for text that names none.
MulticastPolicy parse_multicast_policy(const std::string& text);

// Throws Error unless text is a number from 1 to 256.
uint16_t parse_queue_pairs(const std::string& text);

// They travel in one netlink message of a page.
constexpr size_t allowed_macs_max = 256;
// Throws Error for a bad address, one that is named twice, and for too many.
std::vector<MacAddress> parse_allowed_macs(const std::vector<std::string>& texts);

} // namespace tapline
