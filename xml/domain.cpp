#include "xml/domain.h"

#include "backend/base/error.h"
#include "backend/base/number.h"
#include "xml/document.h"
#include "xml/metadata.h"
#include "xml/names.h"

#include <fmt/format.h>
#include <glib.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

namespace tapline::xml {
namespace {

constexpr uint16_t queue_pairs_max = 256; // libvirt passes on more; no tap has more.
constexpr uint32_t mtu_max = 65535;
constexpr uint32_t vcpus_max = 65535;
constexpr size_t interfaces_max = 256; // What is asked of each takes time.

template <std::integral T>
std::optional<T> number(const Document& document, const xmlNode* element, const char* name,
                        const char* what, T max) {
    const auto text = attribute(element, name);
    if (!text) {
        return std::nullopt;
    }
    return document.read_at(element, [&] { return parse_number<T>(what, *text, 1, max); });
}

std::optional<std::string> printable(const Document& document, const xmlNode* element,
                                     const char* name) {
    auto text = attribute(element, name);
    if (text) {
        document.check_printable(element, *text);
    }
    return text;
}

std::optional<InterfaceKind> kind_of(const xmlNode* element) {
    const std::string type = attribute(element, "type").value_or("");
    if (type == "direct") {
        return InterfaceKind::direct;
    }
    if (type == "ethernet" && has_value(child(element, "target"), "managed", "no")) {
        return InterfaceKind::ethernet;
    }
    return type == "vhostuser" ? std::optional(InterfaceKind::vhostuser) : std::nullopt;
}

void read_source(const Document& document, const xmlNode* element, Interface& interface) {
    const xmlNode* source = child(element, "source");
    if (interface.kind == InterfaceKind::vhostuser) {
        interface.socket = printable(document, source, "path");
        interface.socket_server = has_value(source, "mode", "server");
    }
    if (interface.kind != InterfaceKind::direct) {
        return;
    }
    interface.parent = printable(document, source, "dev");
    if (!interface.parent) {
        document.refuse(element, "an interface of type direct names no parent",
                        "write <source dev='eth0' mode='bridge'/>");
    }
    document.read_at(source, [&] { check_interface_name(*interface.parent); });
    interface.trust_guest_rx_filters = has_value(element, "trustGuestRxFilters", "yes");
    interface.mode = attribute(source, "mode").value_or("vepa"); // libvirt's default.
    constexpr std::array<std::string_view, 4> modes{"vepa", "bridge", "private", "passthrough"};
    if (std::ranges::find(modes, *interface.mode) == modes.end()) {
        document.refuse(source, fmt::format("mode '{}' is not one of vepa, bridge, private, "
                                            "passthrough",
                                            *interface.mode));
    }
}

// Names of other kinds are libvirt's own, with patterns such as vnet%d among them.
void read_target(const Document& document, const xmlNode* element, Interface& interface) {
    const xmlNode* target = child(element, "target");
    interface.target = printable(document, target, "dev");
    if (interface.kind != InterfaceKind::ethernet) {
        return;
    }
    if (!interface.target) {
        document.refuse(element, "an interface that libvirt does not manage names no device",
                        "write <target dev='tl0' managed='no'/>");
    }
    document.read_at(target, [&] { check_interface_name(*interface.target); });
}

Interface read_interface(const Document& document, const xmlNode* element) {
    Interface interface { .kind = kind_of(element).value(), .line = xmlGetLineNo(element) };
    read_source(document, element, interface);
    read_target(document, element, interface);
    const xmlNode* mac = child(element, "mac");
    if (const auto address = attribute(mac, "address")) {
        interface.mac = document.read_at(mac, [&] { return MacAddress::parse(*address); });
    }
    interface.alias = printable(document, child(element, "alias"), "name");
    interface.model = printable(document, child(element, "model"), "type");
    interface.queue_pairs = number<uint16_t>(document, child(element, "driver"), "queues",
                                             "number of queues", queue_pairs_max)
                                .value_or(1);
    interface.mtu = number<uint32_t>(document, child(element, "mtu"), "size", "MTU", mtu_max);
    return interface;
}

// With <access mode='shared'/> libvirt takes a file or a memfd, unless anonymous memory is asked
// for; NUMA cells may say so each for itself.
bool has_shared_memory(const xmlNode* domain) {
    const xmlNode* backing = child(domain, "memoryBacking");
    const bool shared = has_value(child(backing, "access"), "mode", "shared") &&
                        !has_value(child(backing, "source"), "type", "anonymous");
    const auto cells = children(child(child(domain, "cpu"), "numa"), "cell");
    const auto is_shared = [&](const xmlNode* cell) {
        const auto access = attribute(cell, "memAccess");
        return access ? access == "shared" : shared;
    };
    return cells.empty() ? shared : std::ranges::all_of(cells, is_shared);
}

std::string read_name(const Document& document, const xmlNode* domain) {
    const xmlNode* element = child(domain, "name");
    std::string name = content(element);
    if (name.empty()) {
        document.refuse(domain, "the domain has no name");
    }
    document.check_printable(element, name);
    if (name.find('/') != std::string::npos) {
        document.refuse(element, "the name of a domain holds no '/'");
    }
    return name;
}

uint32_t read_vcpus(const Document& document, const xmlNode* domain) {
    const xmlNode* element = child(domain, "vcpu");
    const std::string text = content(element);
    return text.empty() ? 1 : document.read_at(element, [&] {
        return parse_number<uint32_t>("number of vCPUs", text, 1, vcpus_max);
    });
}

// As libvirt's virUUIDParse() reads it: dashes and blanks may be anywhere.
std::string read_uuid(const Document& document, const xmlNode* domain) {
    const xmlNode* element = child(domain, "uuid");
    std::string uuid = content(element);
    if (uuid.empty()) {
        return uuid;
    }
    std::erase_if(uuid, [](char c) { return c == '-' || g_ascii_isspace(c) != 0; });
    if (uuid.size() != 32 ||
        !std::ranges::all_of(uuid, [](char c) { return g_ascii_isxdigit(c) != 0; })) {
        document.refuse(element, "the UUID is not made of 32 hexadecimal digits");
    }
    std::ranges::transform(uuid, uuid.begin(), g_ascii_tolower);
    for (const size_t dash : {20, 16, 12, 8}) {
        uuid.insert(dash, 1, '-');
    }
    return uuid;
}

// libvirt sees to the name of an interface of kind ethernet. Those of kind vhostuser have one only
// for us, and names such as vnet0 that libvirt made up for another kind are not meant to last.
std::string device_name(const Interface& interface) {
    const bool made_up = !interface.target || is_reserved_device_name(*interface.target);
    return interface.kind == InterfaceKind::vhostuser && made_up
               ? default_device_name(*interface.mac)
               : *interface.target;
}

// A device as its interface and its metadata together describe it.
InterfaceText device_of(const Document& document, const Interface& interface,
                        const InterfaceMetadata& metadata) {
    InterfaceText device = metadata.device;
    const bool has_parents_mac = device.mode == "passthru" || device.kind == "ipvtap";
    if (!has_parents_mac) {
        device.mac = interface.mac->text();
    }
    device.name = device_name(interface);
    device.queues = fmt::to_string(interface.queue_pairs);
    if (!device.mtu && interface.mtu) {
        device.mtu = fmt::to_string(*interface.mtu);
    }
    document.read_at(metadata.element, [&] { InterfaceSpec::parse(device); });
    return device;
}

void adopt(const Document& document, const InterfaceMetadata& metadata, Domain& domain) {
    Interface* ours = nullptr;
    for (Interface& each : domain.interfaces) {
        if (each.mac != metadata.mac || each.kind == InterfaceKind::direct) {
            continue;
        }
        if (ours != nullptr) {
            document.refuse(metadata.element,
                            fmt::format("two interfaces have MAC address {}, on lines {} and {}",
                                        metadata.mac.text(), ours->line, each.line));
        }
        ours = &each;
    }
    if (ours == nullptr) {
        document.refuse(metadata.element,
                        fmt::format("no interface of type vhostuser, or ethernet with "
                                    "managed='no', has MAC address {}",
                                    metadata.mac.text()),
                        "remove this element or correct its address");
    }
    if (ours->kind == InterfaceKind::ethernet && !metadata.pump_options.empty()) {
        document.refuse(metadata.element, "options of a pump, but the interface has none",
                        "use type vhostuser or remove them");
    }
    ours->device = device_of(document, *ours, metadata);
    ours->pump_options = metadata.pump_options;
    ours->trust_guest_rx_filters = metadata.trust_guest_rx_filters;
}

} // namespace

const char* to_text(InterfaceKind kind) {
    switch (kind) {
    case InterfaceKind::direct:
        return "direct";
    case InterfaceKind::ethernet:
        return "ethernet";
    case InterfaceKind::vhostuser:
        return "vhostuser";
    }
    return "unknown";
}

std::vector<const xmlNode*> interface_elements(const Document& document) {
    std::vector<const xmlNode*> elements;
    for (const xmlNode* devices : children(document.root(), "devices")) {
        std::ranges::copy_if(children(devices, "interface"), std::back_inserter(elements),
                             [](const xmlNode* each) { return kind_of(each).has_value(); });
    }
    if (elements.size() > interfaces_max) {
        document.refuse(elements[interfaces_max],
                        fmt::format("it has more than {} network cards", interfaces_max));
    }
    return elements;
}

Domain Domain::parse(const std::string& text, const std::string& source) {
    return read(Document::parse(text, source));
}

Domain Domain::read(const Document& document) {
    const xmlNode* root = document.root();
    if (!is_element(root, "domain")) {
        document.refuse(root, "the outermost element is not <domain>",
                        "give the output of `virsh dumpxml NAME`");
    }
    Domain domain{.name = read_name(document, root),
                  .uuid = read_uuid(document, root),
                  .vcpus = read_vcpus(document, root),
                  .shared_memory = has_shared_memory(root),
                  .hugepages = child(child(root, "memoryBacking"), "hugepages") != nullptr};
    for (const xmlNode* element : interface_elements(document)) {
        domain.interfaces.push_back(read_interface(document, element));
    }
    for (const InterfaceMetadata& metadata : read_metadata(document)) {
        adopt(document, metadata, domain);
    }
    return domain;
}

} // namespace tapline::xml
