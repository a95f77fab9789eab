#include "xml/editor.h"

#include "backend/base/error.h"

#include <algorithm>
#include <tuple>

namespace tapline::xml {
namespace {

// Parents before their children, as in the text.
void list_elements(const xmlNode* element, std::vector<const xmlNode*>& found) {
    found.push_back(element);
    for (const xmlNode* each : children(element)) {
        list_elements(each, found);
    }
}

} // namespace

Editor::Editor(std::string text, const std::string& source)
    : text_(std::move(text)), document_(Document::parse(text_, source)) {
    elements_ = scan_elements(text_);
    std::vector<const xmlNode*> nodes;
    list_elements(document_.root(), nodes);
    if (nodes.size() != elements_.size()) {
        document_.refuse(document_.root(), "its elements cannot be found in the text");
    }
    for (size_t i = 0; i < nodes.size(); ++i) {
        places_.emplace(nodes[i], &elements_[i]);
    }
}

std::string_view Editor::bytes(const xmlNode* element) const {
    return bytes(place(element).begin, place(element).end);
}

std::string_view Editor::blanks_before(const xmlNode* element) const {
    const size_t end = place(element).begin;
    const size_t last = bytes(0, end).find_last_not_of(" \t\r\n");
    return bytes(last == std::string_view::npos ? 0 : last + 1, end);
}

void Editor::replace(size_t begin, size_t end, std::string bytes) {
    changes_.push_back({begin, end, std::move(bytes)});
}

void Editor::replace(const xmlNode* element, std::string bytes) {
    replace(place(element).begin, place(element).end, std::move(bytes));
}

void Editor::append(const xmlNode* parent, const std::string& bytes, const std::string& blanks) {
    const ElementText& at = place(parent);
    if (at.is_empty_tag) {
        replace(at.tag_end - 2, at.tag_end,
                ">" + bytes + blanks + "</" + std::string(at.name) + ">");
    } else {
        insert(at.items.empty() ? at.tag_end : at.items.back(), bytes);
    }
}

void Editor::make_empty_tag(const xmlNode* element) {
    replace(place(element).tag_end - 1, place(element).end, "/>");
}

void Editor::remove(const xmlNode* element) {
    const ElementText& at = place(element);
    replace(at.begin - blanks_before(element).size(), at.end, "");
}

std::string Editor::result() const {
    auto changes = changes_;
    std::ranges::stable_sort(changes, {}, [](const Change& change) {
        return std::tuple(change.begin, change.end); // What is inserted comes first.
    });
    std::string edited;
    size_t done = 0;
    for (const Change& change : changes) {
        if (change.begin < done) {
            document_.refuse(document_.root(), "what its metadata says contradicts itself",
                             "correct or remove the metadata");
        }
        edited += bytes(done, change.begin);
        edited += change.bytes;
        done = change.end;
    }
    return edited += bytes(done, text_.size());
}

} // namespace tapline::xml
