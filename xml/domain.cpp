#include "xml/domain.h"

#include "backend/base/error.h"
#include "backend/base/number.h"
#include "backend/interface_spec.h"
#include "xml/document.h"

#include <fmt/format.h>
#include <glib.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace tapline::xml {
namespace {

constexpr uint16_t queue_pairs_max = 256; // libvirt passes on more; no tap has more.
constexpr uint32_t mtu_max = 65535;
constexpr uint32_t vcpus_max = 65535;

// What a value is refused for, told with the line it stands on.
template <typename Read> auto read_at(const Document& document, const xmlNode* element, Read read) {
    try {
        return read();
    } catch (const Error& error) {
        document.refuse(element, error.what());
    }
}

template <std::integral T>
std::optional<T> number(const Document& document, const xmlNode* element, const char* name,
                        const char* what, T max) {
    const auto text = attribute(element, name);
    if (!text) {
        return std::nullopt;
    }
    return read_at(document, element, [&] { return parse_number<T>(what, *text, 1, max); });
}

// What is shown to people: no control character may reach their terminal.
void check_printable(const Document& document, const xmlNode* element, const std::string& text) {
    for (const char* at = text.c_str(); *at != '\0'; at = g_utf8_next_char(at)) {
        if (g_unichar_iscntrl(g_utf8_get_char(at))) {
            document.refuse(element, "it holds a control character");
        }
    }
}

std::optional<std::string> printable(const Document& document, const xmlNode* element,
                                     const char* name) {
    auto text = attribute(element, name);
    if (text) {
        check_printable(document, element, *text);
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
    }
    if (interface.kind != InterfaceKind::direct) {
        return;
    }
    interface.parent = attribute(source, "dev");
    if (!interface.parent) {
        document.refuse(element, "an interface of type direct names no parent",
                        "write <source dev='eth0' mode='bridge'/>");
    }
    read_at(document, source, [&] { check_interface_name(*interface.parent); });
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
    read_at(document, target, [&] { check_interface_name(*interface.target); });
}

Interface read_interface(const Document& document, const xmlNode* element, InterfaceKind kind) {
    Interface interface { .kind = kind, .line = xmlGetLineNo(element) };
    read_source(document, element, interface);
    read_target(document, element, interface);
    const xmlNode* mac = child(element, "mac");
    if (const auto address = attribute(mac, "address")) {
        interface.mac = read_at(document, mac, [&] { return MacAddress::parse(*address); });
    }
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
    check_printable(document, element, name);
    if (name.find('/') != std::string::npos) {
        document.refuse(element, "the name of a domain holds no '/'");
    }
    return name;
}

uint32_t read_vcpus(const Document& document, const xmlNode* domain) {
    const xmlNode* element = child(domain, "vcpu");
    const std::string text = content(element);
    return text.empty() ? 1 : read_at(document, element, [&] {
        return parse_number<uint32_t>("number of vCPUs", text, 1, vcpus_max);
    });
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

Domain Domain::parse(const std::string& text, const std::string& source) {
    const Document document = Document::parse(text, source);
    const xmlNode* root = document.root();
    if (!is_element(root, "domain")) {
        document.refuse(root, "the outermost element is not <domain>",
                        "give the output of `virsh dumpxml NAME`");
    }
    Domain domain{.name = read_name(document, root),
                  .vcpus = read_vcpus(document, root),
                  .shared_memory = has_shared_memory(root),
                  .hugepages = child(child(root, "memoryBacking"), "hugepages") != nullptr};
    for (const xmlNode* element : children(child(root, "devices"), "interface")) {
        if (const auto kind = kind_of(element)) {
            domain.interfaces.push_back(read_interface(document, element, *kind));
        }
    }
    return domain;
}

} // namespace tapline::xml
