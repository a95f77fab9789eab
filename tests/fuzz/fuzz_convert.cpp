// Domain XML from anywhere: what can be converted comes back byte for byte, and what tells lies in
// its metadata is refused.
#include "backend/base/error.h"
#include "tests/fuzz/input.h"
#include "xml/convert.h"
#include "xml/forms.h"

#include <algorithm>
#include <optional>
#include <string>

namespace tapline::xml {
namespace {

using fuzz::require;

std::optional<std::string> converted(const std::string& text, InterfaceKind to) {
    const auto names = droppable_names();
    try {
        return convert(text, "input", {.to = to, .drop = {names.begin(), names.end()}});
    } catch (const Error&) {
        return std::nullopt;
    }
}

void check(const std::string& text, InterfaceKind form) {
    const auto there = converted(text, form);
    if (!there) {
        return;
    }
    const Domain before = Domain::parse(text, "input");
    const Domain after = Domain::parse(*there, "output");
    require(after.interfaces.size() == before.interfaces.size());
    require(form != InterfaceKind::vhostuser || *there == text || after.shared_memory);
    const auto is_ours = [](const Interface& each) { return each.device.has_value(); };
    if (form != InterfaceKind::direct && std::ranges::none_of(before.interfaces, is_ours)) {
        require(converted(*there, InterfaceKind::direct) == text);
    }
}

} // namespace
} // namespace tapline::xml

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using tapline::xml::InterfaceKind;
    const std::string text(data, data + size);
    for (const auto form :
         {InterfaceKind::vhostuser, InterfaceKind::ethernet, InterfaceKind::direct}) {
        tapline::xml::check(text, form);
    }
    return 0;
}
