// An XML document from a stranger, and how its elements are read. Owns libxml2's tree.
#pragma once

#include "backend/base/error.h"

#include <libxml/tree.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tapline::xml {

constexpr size_t document_bytes_max = 1 << 20; // Large domains have some 50 KiB.
constexpr size_t attributes_max = 1024;        // Of an element; libvirt has some ten.
constexpr int depth_max = 256;                 // Of elements in each other.

class Document {
public:
    // Throws Error with the line: what is no XML, has a document type (entities come with it) or
    // is too long, or not in UTF-8. Nothing is read but the text itself.
    static Document parse(const std::string& text, const std::string& source);

    const xmlNode* root() const { return xmlDocGetRootElement(tree_.get()); }

    // Throws Error that names the source and the element's line.
    [[noreturn]] void refuse(const xmlNode* element, const std::string& cause,
                             const std::string& next_step = {}) const;

    // What is shown to people: no control character may reach their terminal.
    void check_printable(const xmlNode* element, const std::string& text) const;

    // What read() refuses with an Error is told with the element's line.
    template <typename Read> auto read_at(const xmlNode* element, Read read) const {
        try {
            return read();
        } catch (const Error& error) {
            refuse(element, error.what());
        }
    }

private:
    using Tree = std::unique_ptr<xmlDoc, decltype(&xmlFreeDoc)>;

    Document(Tree tree, std::string source) : tree_(std::move(tree)), source_(std::move(source)) {}

    Tree tree_;
    std::string source_;
};

std::string to_string(const xmlChar* text); // Empty where there is none.

// libvirt's own elements are in no namespace; those of others are never taken for them.
bool is_element(const xmlNode* node, const char* name, const char* name_space = nullptr);

// All elements in it; none where there is no parent.
std::vector<const xmlNode*> children(const xmlNode* parent);
std::vector<const xmlNode*> children(const xmlNode* parent, const char* name,
                                     const char* name_space = nullptr);
// The first; nullptr where there is none, or no parent.
const xmlNode* child(const xmlNode* parent, const char* name, const char* name_space = nullptr);

// Absent where the element is missing or has no such attribute.
std::optional<std::string> attribute(const xmlNode* element, const char* name);
bool has_value(const xmlNode* element, const char* name, const char* value);

// Without the blanks around it; empty where the element is missing.
std::string content(const xmlNode* element);

} // namespace tapline::xml
