#include "xml/domain_additions.h"

#include "xml/metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <sstream>

namespace tapline::xml {
namespace {

const xmlNode* metadata_of(const Document& document) {
    return child(document.root(), "metadata");
}

const xmlNode* interfaces_of(const Document& document) {
    return child(metadata_of(document), "interfaces", metadata_namespace);
}

const xmlNode* memory_of(const Document& document) {
    return child(document.root(), "memoryBacking");
}

// The one of these that stands last; a domain has a name at least.
const xmlNode* last_of(const Editor& editor, std::initializer_list<const char*> names) {
    const xmlNode* last = nullptr;
    for (const char* name : names) {
        const xmlNode* found = child(editor.document().root(), name);
        if (found != nullptr &&
            (last == nullptr || editor.place(found).begin > editor.place(last).begin)) {
            last = found;
        }
    }
    return last;
}

bool has_word(const std::string& words, const std::string& wanted) {
    std::istringstream stream(words);
    for (std::string word; stream >> word;) {
        if (word == wanted) {
            return true;
        }
    }
    return false;
}

// What <added NAME='...'/> says, put together.
std::string added(const Document& document, const char* name) {
    std::string words;
    for (const xmlNode* each : children(interfaces_of(document), "added", metadata_namespace)) {
        words += attribute(each, name).value_or("") + ' ';
    }
    return words;
}

// Returns words that say what was added. Settings that forbid sharing stay: their owner meant them.
std::string share_memory(Editor& editor, const Layout& layout) {
    const Document& document = editor.document();
    const xmlNode* backing = memory_of(document);
    const xmlNode* source = child(backing, "source");
    const xmlNode* access = child(backing, "access");
    if (has_value(source, "type", "anonymous") || has_value(access, "mode", "private")) {
        document.refuse(has_value(access, "mode", "private") ? access : source,
                        "a pump must map the guest's memory, and this forbids it",
                        "remove it, or write <source type='memfd'/> and <access mode='shared'/>");
    }
    for (const xmlNode* cell : children(child(child(document.root(), "cpu"), "numa"), "cell")) {
        if (has_value(cell, "memAccess", "private")) {
            document.refuse(cell, "a pump must map the guest's memory, and this cell forbids it",
                            "remove memAccess='private'");
        }
    }
    std::string words;
    std::string bytes;
    if (source == nullptr && child(backing, "hugepages") == nullptr) {
        words += " source";
        bytes += layout.line(1) + "<source type='memfd'/>";
    }
    if (access == nullptr) {
        words += " access";
        bytes += layout.line(1) + "<access mode='shared'/>";
    }
    if (backing == nullptr) {
        const xmlNode* before = last_of(editor, {"name", "memory", "currentMemory"});
        editor.insert(
            editor.place(before).end,
            fmt::format("{0}<memoryBacking>{1}{0}</memoryBacking>", layout.line(0), bytes));
        return "element" + words;
    }
    editor.append(backing, bytes, layout.line(0));
    return (editor.place(backing).is_empty_tag ? "tag" : "") + words;
}

void unshare_memory(Editor& editor) {
    const std::string words = added(editor.document(), "memory");
    const xmlNode* backing = memory_of(editor.document());
    std::vector<const xmlNode*> ours;
    for (const char* name : {"source", "access"}) {
        const xmlNode* found = child(backing, name);
        if (found != nullptr && has_word(words, name)) {
            ours.push_back(found);
        }
    }
    const bool is_all_ours = !ours.empty() && editor.place(backing).items.size() == ours.size();
    if (is_all_ours && has_word(words, "element")) {
        editor.remove(backing);
    } else if (is_all_ours && has_word(words, "tag")) {
        editor.make_empty_tag(backing);
    } else {
        std::ranges::for_each(ours, [&](const xmlNode* each) { editor.remove(each); });
    }
}

void remove_metadata(Editor& editor) {
    const xmlNode* metadata = metadata_of(editor.document());
    const std::string words = added(editor.document(), "metadata");
    const bool is_all_ours = editor.place(metadata).items.size() == 1;
    if (is_all_ours && has_word(words, "element")) {
        editor.remove(metadata);
    } else if (is_all_ours && has_word(words, "tag")) {
        editor.make_empty_tag(metadata);
    } else {
        editor.remove(interfaces_of(editor.document()));
    }
}

} // namespace

Layout::Layout(const Editor& editor) {
    const xmlNode* devices = child(editor.document().root(), "devices");
    const std::string blanks(editor.blanks_before(devices));
    size_t last = blanks.rfind('\n');
    if (last != std::string::npos) {
        last -= last > 0 && blanks[last - 1] == '\r' ? 1 : 0;
        break_ = blanks.substr(last);
        step_ = break_.ends_with('\t') ? "\t" : "  ";
    }
}

std::string Layout::line(unsigned depth) const {
    std::string blanks = break_;
    for (unsigned i = 0; i < depth; ++i) {
        blanks += step_;
    }
    return blanks;
}

std::string metadata_prefix(const Document& document) {
    const xmlNode* interfaces = interfaces_of(document);
    if (interfaces == nullptr) {
        return "tapline";
    }
    if (interfaces->ns->prefix == nullptr) {
        document.refuse(interfaces, "its namespace has no prefix",
                        "write <tapline:interfaces xmlns:tapline='urn:tapline:domain:1'>");
    }
    return to_string(interfaces->ns->prefix);
}

void add_to_domain(Editor& editor, const std::string& entry, bool needs_shared_memory) {
    const Layout layout(editor);
    const std::string prefix = metadata_prefix(editor.document());
    std::string bytes = layout.line(2) + entry;
    const auto note = [&](const char* name, const std::string& words) {
        if (!words.empty()) {
            bytes += fmt::format("{}<{}:added {}='{}'/>", layout.line(2), prefix, name,
                                 words.substr(words.find_first_not_of(' ')));
        }
    };
    if (needs_shared_memory) {
        note("memory", share_memory(editor, layout));
    }
    if (const xmlNode* interfaces = interfaces_of(editor.document())) {
        editor.append(interfaces, bytes, layout.line(1));
        return;
    }
    const xmlNode* metadata = metadata_of(editor.document());
    note("metadata", metadata == nullptr                   ? "element"
                     : editor.place(metadata).is_empty_tag ? "tag"
                                                           : "");
    bytes = fmt::format("{0}<{1}:interfaces xmlns:{1}='{2}'>{3}{0}</{1}:interfaces>",
                        layout.line(1), prefix, metadata_namespace, bytes);
    if (metadata != nullptr) {
        editor.append(metadata, bytes, layout.line(0));
    } else {
        const xmlNode* before = last_of(editor, {"name", "uuid", "title", "description"});
        editor.insert(editor.place(before).end,
                      fmt::format("{0}<metadata>{1}{0}</metadata>", layout.line(0), bytes));
    }
}

void remove_from_domain(Editor& editor, const xmlNode* entry, Remaining remaining) {
    if (remaining != Remaining::a_pump) {
        unshare_memory(editor);
    }
    if (remaining == Remaining::none) {
        remove_metadata(editor);
        return;
    }
    editor.remove(entry);
    if (remaining == Remaining::a_pump) {
        return;
    }
    for (const xmlNode* each :
         children(interfaces_of(editor.document()), "added", metadata_namespace)) {
        if (attribute(each, "memory")) {
            editor.remove(each);
        }
    }
}

} // namespace tapline::xml
