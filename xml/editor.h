// Changes elements of an XML document where they stand in its text, and no other byte.
#pragma once

#include "xml/document.h"
#include "xml/source_text.h"

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tapline::xml {

class Editor {
public:
    // Throws Error for what Document refuses.
    Editor(std::string text, const std::string& source);
    Editor(const Editor&) = delete;
    Editor& operator=(const Editor&) = delete;

    const Document& document() const { return document_; }
    const ElementText& place(const xmlNode* element) const { return *places_.at(element); }
    std::string_view bytes(size_t begin, size_t end) const {
        return std::string_view(text_).substr(begin, end - begin);
    }
    std::string_view bytes(const xmlNode* element) const;
    // The blanks right before it.
    std::string_view blanks_before(const xmlNode* element) const;

    // What is inserted at the same place stays in the order of calls.
    void replace(size_t begin, size_t end, std::string bytes);
    void replace(const xmlNode* element, std::string bytes);
    void insert(size_t at, std::string bytes) { replace(at, at, std::move(bytes)); }
    // Into an element that may be <name/>: then it gets a last tag, behind these blanks.
    void append(const xmlNode* parent, const std::string& bytes, const std::string& blanks);
    // What append() did to <name/>.
    void make_empty_tag(const xmlNode* element);
    void remove(const xmlNode* element); // With the blanks before it.

    // Throws Error where changes overlap.
    std::string result() const;

private:
    struct Change {
        size_t begin;
        size_t end;
        std::string bytes;
    };

    std::string text_;
    Document document_;
    std::vector<ElementText> elements_;
    std::unordered_map<const xmlNode*, const ElementText*> places_;
    std::vector<Change> changes_;
};

} // namespace tapline::xml
