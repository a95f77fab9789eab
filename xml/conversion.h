// The two halves of a conversion: from type direct to another form, and from there back.
#pragma once

#include "xml/domain.h"
#include "xml/editor.h"
#include "xml/metadata.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tapline::xml {

struct Conversion {
    InterfaceKind to;
    std::vector<std::string> drop; // What may be given up.

    bool drops(std::string_view name) const;
    // Throws Error that names what the new form cannot have, unless it may be dropped.
    void give_up(const Document& document, const xmlNode* element, std::string_view name) const;
};

// Of interface number index, from 0, which has type direct. What it was before comes from a form
// that could say more.
void to_form(Editor& editor, size_t index, const Conversion& conversion,
             const std::optional<InterfaceMetadata>& before);

// Of interface number index, which is ours. Returns what the metadata said beyond what type direct
// says now.
InterfaceMetadata to_direct(Editor& editor, size_t index, const Conversion& conversion);

// How both write what stands for an element of type direct, to be recognized on the way back.
std::string pump_source(const MacAddress& mac);
std::string handoff_target(const xmlNode* target, const MacAddress& mac); // target may be nullptr.
std::string direct_source(const InterfaceText& device);
constexpr auto pump_model = "<model type='virtio'/>";
void exchange_directions(Editor& editor, const xmlNode* bandwidth);

// A pump's options that do what <bandwidth> asks for, but for its peak and its floor.
std::vector<std::string> limits_of(const xmlNode* bandwidth);

std::string escaped(const std::string& text); // For an attribute.

} // namespace tapline::xml
