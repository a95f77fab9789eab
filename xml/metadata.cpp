#include "xml/metadata.h"

#include "backend/base/error.h"
#include "iouring/policy_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace tapline::xml {
namespace {

struct DeviceAttribute {
    std::string_view name;
    std::optional<std::string> InterfaceText::*value;
};

// Named like the options that say the same on a command line.
constexpr std::array<DeviceAttribute, 10> device_attributes{{
    {"parent", &InterfaceText::parent},
    {"mode", &InterfaceText::mode},
    {"kind", &InterfaceText::kind},
    {"layer", &InterfaceText::layer},
    {"mtu", &InterfaceText::mtu},
    {"queue-length", &InterfaceText::queue_length},
    {"broadcast-queue-length", &InterfaceText::broadcast_queue_length},
    {"multicast", &InterfaceText::multicast},
    {"owner", &InterfaceText::owner},
    {"node-mode", &InterfaceText::node_mode},
}};

struct PumpOption {
    std::string_view name;
    bool is_flag;
};

constexpr std::array<PumpOption, 7> pump_options{{
    {"limit-guest-to-wire", false},
    {"limit-wire-to-guest", false},
    {"port-security", true},
    {"allow-source-mac", false},
    {"allow-source-ip", false},
    {"allow-router-advertisements", true},
    {"allow-dhcp-server", true},
}};

// Attributes of other namespaces are not ours to judge.
std::vector<NamedValue> own_attributes(const Document& document, const xmlNode* element) {
    std::vector<NamedValue> found;
    for (const xmlAttr* each = element->properties; each != nullptr; each = each->next) {
        if (each->ns == nullptr) {
            const std::string name = to_string(each->name);
            found.push_back({name, attribute(element, name.c_str()).value_or("")});
            document.check_printable(element, found.back().value);
        }
    }
    return found;
}

[[noreturn]] void refuse_element(const Document& document, const xmlNode* element,
                                 const char* where) {
    document.refuse(element, fmt::format("{} has no element <{}>", where, to_string(element->name)),
                    "see tapline-xml(1) for those it has");
}

// Blanks and comments are all that may stand between elements.
void check_no_text(const Document& document, const xmlNode* element) {
    for (const xmlNode* each = element->children; each != nullptr; each = each->next) {
        const bool is_text = each->type == XML_TEXT_NODE || each->type == XML_CDATA_SECTION_NODE;
        if (is_text && xmlIsBlankNode(each) == 0) {
            document.refuse(element,
                            fmt::format("metadata holds text in <{}>", to_string(element->name)),
                            "remove it: settings are attributes, see tapline-xml(1)");
        }
    }
}

[[noreturn]] void refuse_attribute(const Document& document, const xmlNode* element,
                                   const NamedValue& attribute) {
    document.refuse(element, fmt::format("metadata has no attribute '{}' here", attribute.name),
                    "see tapline-xml(1) for those it has");
}

bool yes_or_no(const Document& document, const xmlNode* element, const NamedValue& attribute) {
    if (attribute.value != "yes" && attribute.value != "no") {
        document.refuse(
            element, fmt::format("{} '{}' is neither yes nor no", attribute.name, attribute.value));
    }
    return attribute.value == "yes";
}

void read_attributes(const Document& document, InterfaceMetadata& metadata) {
    for (const NamedValue& each : own_attributes(document, metadata.element)) {
        const auto* known = std::ranges::find(device_attributes, each.name, &DeviceAttribute::name);
        if (known != device_attributes.end()) {
            metadata.device.*known->value = each.value;
        } else if (each.name == "nopromisc") {
            metadata.device.nopromisc = yes_or_no(document, metadata.element, each);
        } else if (each.name == "trust-guest-rx-filters") {
            metadata.trust_guest_rx_filters = yes_or_no(document, metadata.element, each);
        } else if (each.name != "mac" && each.name != "added") {
            refuse_attribute(document, metadata.element, each);
        }
    }
}

// Of one that holds nothing but attributes.
void check_empty(const Document& document, const xmlNode* element) {
    check_no_text(document, element);
    for (const xmlNode* each : children(element)) {
        refuse_element(document, each, "this element of the metadata");
    }
}

void read_allow(const Document& document, const xmlNode* element, InterfaceMetadata& metadata) {
    check_empty(document, element);
    for (const NamedValue& each : own_attributes(document, element)) {
        if (each.name != "mac") {
            refuse_attribute(document, element, each);
        }
        metadata.device.allow.push_back(each.value);
    }
}

void read_pump(const Document& document, const xmlNode* element, InterfaceMetadata& metadata) {
    check_empty(document, element);
    for (const NamedValue& each : own_attributes(document, element)) {
        const auto* known = std::ranges::find(pump_options, each.name, &PumpOption::name);
        if (known == pump_options.end()) {
            refuse_attribute(document, element, each);
        }
        if (!known->is_flag) {
            metadata.pump_options.push_back(fmt::format("--{}={}", each.name, each.value));
        } else if (yes_or_no(document, element, each)) {
            metadata.pump_options.push_back("--" + each.name);
        }
    }
}

void check_pump_options(const Document& document, const InterfaceMetadata& metadata) {
    document.read_at(metadata.element, [&] {
        CommandLine command_line("", "");
        const PolicyOptions policy(command_line);
        std::vector<std::string> arguments{"tapline-pump"};
        std::ranges::copy(metadata.pump_options, std::back_inserter(arguments));
        try {
            command_line.parse_options(arguments);
            policy.parse();
        } catch (const UsageError& error) {
            document.refuse(metadata.element, error.what());
        }
    });
}

InterfaceMetadata read_interface(const Document& document, const xmlNode* element) {
    const auto mac = attribute(element, "mac");
    if (!mac) {
        document.refuse(element, "metadata names no MAC address, and so no interface");
    }
    InterfaceMetadata metadata{
        .element = element,
        .mac = document.read_at(element, [&] { return MacAddress::parse(*mac); }),
        .trust_guest_rx_filters = false,
        .device = {},
        .pump_options = {}};
    read_attributes(document, metadata);
    check_no_text(document, element);
    for (const xmlNode* each : children(element)) {
        if (is_element(each, "allow", metadata_namespace)) {
            read_allow(document, each, metadata);
        } else if (is_element(each, "pump", metadata_namespace)) {
            read_pump(document, each, metadata);
        } else if (!is_element(each, "was", metadata_namespace)) {
            refuse_element(document, each, "metadata of an interface");
        }
    }
    check_pump_options(document, metadata);
    return metadata;
}

} // namespace

std::vector<NamedValue> InterfaceMetadata::attributes() const {
    std::vector<NamedValue> found;
    for (const DeviceAttribute& each : device_attributes) {
        if (const auto& value = device.*each.value) {
            found.push_back({std::string(each.name), *value});
        }
    }
    if (device.nopromisc) {
        found.push_back({"nopromisc", "yes"});
    }
    if (trust_guest_rx_filters) {
        found.push_back({"trust-guest-rx-filters", "yes"});
    }
    return found;
}

std::vector<NamedValue> InterfaceMetadata::pump_settings() const {
    std::vector<NamedValue> found;
    for (const std::string& option : pump_options) {
        const size_t equals = option.find('=');
        const bool is_flag = equals == std::string::npos;
        found.push_back({option.substr(2, is_flag ? equals : equals - 2),
                         is_flag ? "yes" : option.substr(equals + 1)});
    }
    return found;
}

std::vector<std::string_view> setting_names() {
    std::vector<std::string_view> names{"allow", "nopromisc"};
    for (const DeviceAttribute& each : device_attributes) {
        if (each.value != &InterfaceText::parent) {
            names.push_back(each.name);
        }
    }
    for (const PumpOption& each : pump_options) {
        names.push_back(each.name);
    }
    return names;
}

std::vector<InterfaceMetadata> read_metadata(const Document& document) {
    std::vector<InterfaceMetadata> found;
    const auto elements =
        children(child(document.root(), "metadata"), "interfaces", metadata_namespace);
    if (elements.size() > 1) {
        document.refuse(elements[1], "there is such an element before it, and libvirt keeps one",
                        "put all into one");
    }
    const xmlNode* all = elements.empty() ? nullptr : elements.front();
    if (all != nullptr) {
        check_no_text(document, all);
    }
    for (const xmlNode* element : children(all)) {
        if (is_element(element, "added", metadata_namespace)) {
            continue;
        }
        if (!is_element(element, "interface", metadata_namespace)) {
            refuse_element(document, element, "metadata of a domain");
        }
        InterfaceMetadata metadata = read_interface(document, element);
        if (std::ranges::find(found, metadata.mac, &InterfaceMetadata::mac) != found.end()) {
            document.refuse(element, fmt::format("metadata describes MAC address {} twice",
                                                 metadata.mac.text()));
        }
        found.push_back(std::move(metadata));
    }
    if (all != nullptr && found.empty()) {
        document.refuse(all, "metadata describes no interface", "remove this element");
    }
    return found;
}

} // namespace tapline::xml
