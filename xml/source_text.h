// Where the elements of an XML text stand in it, byte for byte. A tree forgets quotes, blanks and
// the order of attributes; who changes one element only must know where its bytes are.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace tapline::xml {

struct AttributeText {
    std::string_view name; // With its prefix.
    size_t begin;          // Of the name.
    size_t value_begin;    // After the quote.
    size_t value_end;
    size_t end; // After the quote.
};

// <name attributes>content</name>, or <name attributes/>
struct ElementText {
    std::string_view name; // With its prefix.
    size_t begin;
    size_t tag_end;     // After the '>' of the first tag.
    size_t content_end; // Before the last tag; tag_end where there is none.
    size_t end;
    bool is_empty_tag;
    std::vector<AttributeText> attributes;
    std::vector<size_t> items; // Ends of the elements, comments and instructions in it.

    const AttributeText* attribute(std::string_view name_wanted) const;
    size_t name_end() const { return begin + 1 + name.size(); }
};

// In the order they begin. Of a text in UTF-8 that an XML parser has accepted, without a document
// type. Throws Error where it cannot follow.
std::vector<ElementText> scan_elements(std::string_view text);

} // namespace tapline::xml
