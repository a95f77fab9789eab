// What each form of an interface can say of what libvirt knows to say of one of type direct.
#pragma once

#include "xml/domain.h"

#include <string>
#include <string_view>
#include <vector>

namespace tapline::xml {

enum class Fate {
    stays,
    moves,   // Is said otherwise: by another element, or in the metadata.
    refused, // Nothing can do it.
};

// An element in <interface>, or an attribute of one.
struct Rule {
    std::string_view name;
    Fate on_pump;    // Type vhostuser.
    Fate on_handoff; // Type ethernet.
    Fate on_direct;  // On the way back.
    const char* reason;

    Fate fate(InterfaceKind to) const;
};

// What is not in the table stays: it is the guest's business, or newer than we are.
Rule rule_of(std::string_view name);

// What may be given up on a way to another form; else it is refused.
bool is_droppable(std::string_view name);
std::vector<std::string_view> droppable_names();

} // namespace tapline::xml
