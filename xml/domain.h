// A libvirt domain as far as Tapline is concerned: its network cards and what they need of it.
#pragma once

#include "backend/interface_spec.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

struct _xmlNode; // libxml2's xmlNode.

namespace tapline::xml {

// The kinds of <interface> that Tapline can serve; libvirt's others are left out of a Domain.
enum class InterfaceKind {
    direct,    // libvirt makes a macvtap on a parent.
    ethernet,  // On a device that was made before the domain starts: managed='no'.
    vhostuser, // On a socket that a program such as the pump serves.
};
const char* to_text(InterfaceKind kind);

class Document;

struct Interface {
    InterfaceKind kind;
    long line;                         // Where it begins.
    std::optional<std::string> parent; // Of kind direct, which always has one.
    std::optional<std::string> mode;   // Of kind direct, in libvirt's words.
    std::optional<std::string> socket; // Of kind vhostuser: a path.
    bool socket_server = false;        // Of kind vhostuser: QEMU listens there, the pump connects.
    std::optional<std::string> target; // Name of the device on the host.
    std::optional<std::string> alias;  // libvirt's name for the card, and QEMU's.
    std::optional<MacAddress> mac;     // Absent: libvirt makes one up.
    std::optional<std::string> model;  // Of the card the guest sees.
    uint16_t queue_pairs = 1;
    std::optional<uint32_t> mtu;
    bool trust_guest_rx_filters = false; // The guest may change its own address.

    // Where the domain's metadata describes an interface of kind ethernet or vhostuser, it is
    // ours: the device to make, which InterfaceSpec::parse() takes, and, of kind vhostuser,
    // further options of tapline-pump.
    std::optional<InterfaceText> device;
    std::vector<std::string> pump_options;
};

struct Domain {
    std::string name;
    std::string uuid; // Lower case, with dashes; empty where the text has none.
    uint32_t vcpus = 1;
    bool shared_memory = false; // Another process can map all of the guest's memory.
    bool hugepages = false;
    std::vector<Interface> interfaces;

    // Reads XML from anywhere: nothing is fetched, no entity is expanded, the size is bounded.
    // Throws Error with the line. source names the text in it.
    static Domain parse(const std::string& text, const std::string& source);
    static Domain read(const Document& document);
};

// The elements of a domain's interfaces, in their order.
std::vector<const _xmlNode*> interface_elements(const Document& document);

} // namespace tapline::xml
