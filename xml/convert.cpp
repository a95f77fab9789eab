#include "xml/convert.h"

#include "backend/base/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace tapline::xml {
namespace {

bool is_ours(const Interface& interface) {
    return interface.kind == InterfaceKind::direct || interface.device;
}

size_t number_of(const Domain& domain, const std::string& source, const std::string& which) {
    const bool is_mac = which.find(':') != std::string::npos;
    const auto mac = is_mac ? std::optional(MacAddress::parse(which)) : std::nullopt;
    for (size_t i = 0; i < domain.interfaces.size(); ++i) {
        if (is_mac ? domain.interfaces[i].mac == mac : which == fmt::to_string(i + 1)) {
            return i;
        }
    }
    throw Error({.operation = fmt::format("convert interface {} of {}", which, source),
                 .cause = fmt::format("of the {} that Tapline can serve none has this {}",
                                      domain.interfaces.size(), is_mac ? "address" : "number"),
                 .next_step = "tapline xml show tells those there are"});
}

std::vector<size_t> chosen(const Domain& domain, const std::string& source,
                           const std::string& which) {
    std::vector<size_t> found;
    if (which != "all") {
        found.push_back(number_of(domain, source, which));
        if (!is_ours(domain.interfaces[found.front()])) {
            throw Error({.operation = fmt::format("convert interface {} of {}", which, source),
                         .cause = "the domain's metadata does not describe it",
                         .next_step = "add its parent there, see tapline-xml(1)"});
        }
        return found;
    }
    for (size_t i = 0; i < domain.interfaces.size(); ++i) {
        if (is_ours(domain.interfaces[i])) {
            found.push_back(i);
        }
    }
    if (found.empty()) {
        throw Error({.operation = fmt::format("convert {}", source),
                     .cause = "it has neither an interface of type direct nor one of Tapline's"});
    }
    return found;
}

// Settings of the metadata that the new form cannot have are refused, or dropped.
void give_up_settings(const std::string& source, const Conversion& conversion,
                      InterfaceMetadata& before) {
    std::vector<std::string> lost;
    if (conversion.to == InterfaceKind::direct) {
        for (const NamedValue& each : before.attributes()) {
            const bool is_said = each.name == "parent" || each.name == "trust-guest-rx-filters" ||
                                 (each.name == "mode" && each.value != "source");
            if (!is_said) {
                lost.push_back(each.name);
            }
        }
        if (!before.device.allow.empty()) {
            lost.emplace_back("allow");
        }
    }
    if (conversion.to != InterfaceKind::vhostuser) {
        for (const NamedValue& each : before.pump_settings()) {
            lost.push_back(each.name);
        }
        before.pump_options.clear();
    }
    for (const std::string& name : lost) {
        if (!conversion.drops(name)) {
            throw Error(
                {.operation = fmt::format("convert interface {} of {}", before.mac.text(), source),
                 .cause = fmt::format("'{}' cannot be kept: type {} has no such setting", name,
                                      to_text(conversion.to)),
                 .next_step = fmt::format("convert with --drop {0}, or without {0}", name)});
        }
    }
}

// Metadata is anybody's: it may tell of elements that never were.
void check_result(const std::string& text, const std::string& source, InterfaceKind to,
                  size_t index) {
    const Domain domain = Domain::parse(text, source + " as converted");
    const bool is_there = index < domain.interfaces.size() && domain.interfaces[index].kind == to &&
                          is_ours(domain.interfaces[index]);
    if (!is_there || (to == InterfaceKind::vhostuser && !domain.shared_memory)) {
        throw Error({.operation = fmt::format("convert {}", source),
                     .cause = "the result would be another domain than was asked for",
                     .next_step = "correct its metadata and its memoryBacking"});
    }
}

std::string convert_one(const std::string& text, const std::string& source,
                        const Conversion& conversion, size_t index) {
    const InterfaceKind from = Domain::parse(text, source).interfaces.at(index).kind;
    if (from == conversion.to) {
        return text;
    }
    std::string converted = text;
    std::optional<InterfaceMetadata> before;
    if (from != InterfaceKind::direct) {
        Editor editor(text, source);
        before = to_direct(editor, index, conversion);
        converted = editor.result();
        check_result(converted, source, InterfaceKind::direct, index);
        give_up_settings(source, conversion, *before);
    }
    if (conversion.to != InterfaceKind::direct) {
        Editor editor(converted, source);
        to_form(editor, index, conversion, before);
        converted = editor.result();
        check_result(converted, source, conversion.to, index);
    }
    return converted;
}

} // namespace

std::string convert(const std::string& text, const std::string& source,
                    const Conversion& conversion, const std::string& which) {
    std::string converted = text;
    for (const size_t index : chosen(Domain::parse(text, source), source, which)) {
        converted = convert_one(converted, source, conversion, index);
    }
    return converted;
}

} // namespace tapline::xml
