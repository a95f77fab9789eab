// What a domain's metadata says of its interfaces, where libvirt's own elements have no place
// for it. libvirt keeps it with the domain and looks at nothing in it.
#pragma once

#include "backend/interface_spec.h"
#include "xml/document.h"

#include <string>
#include <string_view>
#include <vector>

namespace tapline::xml {

constexpr auto metadata_namespace = "urn:tapline:domain:1";

struct NamedValue {
    std::string name;
    std::string value;
};

struct InterfaceMetadata {
    const xmlNode* element; // As long as the document lives.
    MacAddress mac;         // Of the interface it describes.
    bool trust_guest_rx_filters;
    InterfaceText device; // Without what the interface itself says: name, address and queues.
    std::vector<std::string> pump_options;
    bool has_mtu_as_direct = false; // On the way between two forms: <mtu> is older than they.

    // The same as text; only the allowed addresses are in neither.
    std::vector<NamedValue> attributes() const;
    std::vector<NamedValue> pump_settings() const;
};

// Throws Error for what it does not know: nobody may believe in a setting that has no effect.
std::vector<InterfaceMetadata> read_metadata(const Document& document);

// All that metadata may say of a device and a pump but parent and mode.
std::vector<std::string_view> setting_names();

} // namespace tapline::xml
