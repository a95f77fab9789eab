#include "xml/conversion.h"

#include "backend/base/number.h"
#include "xml/forms.h"
#include "xml/names.h"

#include <fmt/format.h>
#include <glib.h>

#include <algorithm>
#include <cstdint>

namespace tapline::xml {
namespace {

// libvirt's kilobytes: of a rate tc's "kbps", 1000 bytes, and of a burst tc's "kb", 1024 bytes.
// The bounds are those of the pump.
constexpr uint64_t average_max = 12'500'000;
constexpr uint64_t burst_max = 1 << 20;

std::string limit_of(const xmlNode* direction) {
    const auto average =
        parse_number<uint64_t>("average", attribute(direction, "average").value(), 1, average_max);
    std::string limit = fmt::format("{}kbit", 8 * average);
    if (const auto burst = attribute(direction, "burst")) {
        limit += fmt::format(",burst={}kib", parse_number<uint64_t>("burst", *burst, 1, burst_max));
    }
    return limit;
}

void rename(Editor& editor, const xmlNode* element, const std::string& name) {
    const ElementText& at = editor.place(element);
    editor.replace(at.begin + 1, at.name_end(), name);
    if (!at.is_empty_tag) {
        editor.replace(at.content_end + 2, at.content_end + 2 + at.name.size(), name);
    }
}

} // namespace

bool Conversion::drops(std::string_view name) const {
    return std::ranges::find(drop, name) != drop.end();
}

void Conversion::give_up(const Document& document, const xmlNode* element,
                         std::string_view name) const {
    if (!drops(name)) {
        document.refuse(element, fmt::format("'{}' cannot be kept: {}", name, rule_of(name).reason),
                        fmt::format("convert with --drop {0}, or without {0}", name));
    }
}

std::string pump_source(const MacAddress& mac) {
    return fmt::format("<source type='unix' path='{}' mode='server'/>", default_socket_path(mac));
}

std::string handoff_target(const xmlNode* target, const MacAddress& mac) {
    const auto chosen = attribute(target, "dev");
    const std::string name =
        chosen && !is_reserved_device_name(*chosen) ? *chosen : default_device_name(mac);
    return fmt::format("<target dev='{}' managed='no'/>", escaped(name));
}

std::string direct_source(const InterfaceText& device) {
    const std::string mode = device.mode.value_or("bridge");
    return fmt::format("<source dev='{}' mode='{}'/>", escaped(device.parent.value()),
                       mode == "passthru" ? "passthrough"
                       : mode == "source" ? "bridge" // Where it may be dropped.
                                          : mode);
}

// On a macvtap libvirt takes an interface of type ethernet for a tap, whose host end receives what
// the guest sends; of type direct it knows better (virDomainNetTypeSharesHostView()).
void exchange_directions(Editor& editor, const xmlNode* bandwidth) {
    for (const xmlNode* each : children(bandwidth)) {
        if (is_element(each, "inbound")) {
            rename(editor, each, "outbound");
        } else if (is_element(each, "outbound")) {
            rename(editor, each, "inbound");
        }
    }
}

std::vector<std::string> limits_of(const xmlNode* bandwidth) {
    std::vector<std::string> limits;
    const auto add = [&](const char* direction, const char* option) {
        if (const xmlNode* found = child(bandwidth, direction); attribute(found, "average")) {
            limits.push_back(fmt::format("--{}={}", option, limit_of(found)));
        }
    };
    add("outbound", "limit-guest-to-wire");
    add("inbound", "limit-wire-to-guest");
    return limits;
}

std::string escaped(const std::string& text) {
    g_autofree char* markup = g_markup_escape_text(text.data(), static_cast<gssize>(text.size()));
    return markup;
}

} // namespace tapline::xml
