// What a conversion adds to the domain beside the interface: metadata, and memory that a pump can
// map. Noted there, so that all of it can be taken away again.
#pragma once

#include "xml/editor.h"

#include <string>

namespace tapline::xml {

// How the lines of a domain are indented.
class Layout {
public:
    explicit Layout(const Editor& editor);

    // A line break and the blanks before an element that deep; nothing where the text has one line.
    std::string line(unsigned depth) const;

private:
    std::string break_; // With the blanks before <devices>.
    std::string step_;
};

// Both are called once for a change: entry is the element that describes an interface.
void add_to_domain(Editor& editor, const std::string& entry, bool needs_shared_memory);

enum class Remaining { none, some_but_no_pump, a_pump }; // Interfaces that are still ours.
void remove_from_domain(Editor& editor, const xmlNode* entry, Remaining remaining);

std::string metadata_prefix(const Document& document); // Of the names of its elements.

} // namespace tapline::xml
