#include "hooks/libvirt/attachment.h"

#include "hooks/libvirt/metadata_entries.h"
#include "xml/metadata.h"
#include "xml/names.h"

#include <fmt/format.h>

namespace tapline::libvirt {
namespace {

Attributes attributes_of(const std::vector<xml::NamedValue>& values) {
    Attributes attributes;
    for (const xml::NamedValue& each : values) {
        attributes.emplace_back(each.name, each.value);
    }
    return attributes;
}

enum class BootRom { as_qemu_likes, none };

std::string write_interface(const Attachment::Request& request, const MacAddress& mac,
                            BootRom rom) {
    const bool pumped = request.kind == xml::InterfaceKind::vhostuser;
    const std::string name = request.text.name.value_or(xml::default_device_name(mac));
    std::string content = element_text("mac", {{"address", mac.text()}});
    if (pumped) {
        content += element_text(
            "source",
            {{"type", "unix"}, {"path", xml::default_socket_path(mac)}, {"mode", "server"}});
        content += element_text("target", {{"dev", name}});
    } else {
        content += element_text("target", {{"dev", name}, {"managed", "no"}});
    }
    content += element_text("model", {{"type", "virtio"}});
    if (request.text.queues) {
        content += element_text("driver", {{"queues", *request.text.queues}});
    }
    if (request.text.mtu) {
        content += element_text("mtu", {{"size", *request.text.mtu}});
    }
    if (rom == BootRom::none) {
        content += element_text("rom", {{"enabled", "no"}});
    }
    return element_text("interface", {{"type", pumped ? "vhostuser" : "ethernet"}}, content);
}

std::string write_metadata(const Attachment::Request& request, const MacAddress& mac) {
    const xml::InterfaceMetadata metadata{.element = nullptr,
                                          .mac = mac,
                                          .trust_guest_rx_filters = request.trusts_mac,
                                          .device = request.text,
                                          .pump_options = request.pump_options};
    std::string content;
    for (const std::string& allowed : request.text.allow) {
        content += element_text("allow", {{"mac", allowed}});
    }
    for (const auto& setting : attributes_of(metadata.pump_settings())) {
        content += element_text("pump", {setting}); // Each by itself: some come more than once.
    }
    Attributes attributes = attributes_of(metadata.attributes());
    attributes.emplace(attributes.begin(), "mac", mac.text());
    return element_text("interface", attributes, content);
}

// Refusals name options here, and XML when it is read back. The address need not be an option.
void check_options(InterfaceText text) {
    text.mac.reset();
    (void)InterfaceSpec::parse(text);
}

// As everybody else will read it from the domain: what could not be read later is refused now.
xml::Interface read_back(const std::string& interface_xml, const std::string& metadata_xml) {
    const std::string text =
        fmt::format("<domain><name>attached</name><metadata><interfaces xmlns='{}'>{}</interfaces>"
                    "</metadata><devices>{}</devices></domain>",
                    xml::metadata_namespace, metadata_xml, interface_xml);
    return xml::Domain::parse(text, "the interface to attach").interfaces.at(0);
}

} // namespace

Attachment Attachment::of(const Request& request) {
    check_options(request.text);
    const MacAddress mac = MacAddress::parse(request.text.mac.value());
    std::string interface_xml = write_interface(request, mac, BootRom::as_qemu_likes);
    std::string metadata_xml = write_metadata(request, mac);
    auto plan = hooks::InterfacePlan::of(read_back(interface_xml, metadata_xml));
    return {.mac = mac,
            .interface_xml = std::move(interface_xml),
            .plugged_xml = write_interface(request, mac, BootRom::none),
            .metadata_xml = std::move(metadata_xml),
            .plan = std::move(plan)};
}

} // namespace tapline::libvirt
