#include "hooks/libvirt/metadata_entries.h"

#include "xml/document.h"

#include <glib.h>
#include <libxml/tree.h>

#include <algorithm>
#include <memory>

namespace tapline::libvirt {

std::string element_text(const std::string& name, const Attributes& attributes,
                         const std::string& content) {
    std::string text = "<" + name;
    for (const auto& [key, value] : attributes) {
        const std::unique_ptr<char, decltype(&g_free)> escaped(
            g_markup_escape_text(value.c_str(), -1), g_free);
        text.append(" ").append(key).append("='").append(escaped.get()).append("'");
    }
    return content.empty() ? text + "/>" : text + ">" + content + "</" + name + ">";
}

std::string element_text(const xmlNode* element) {
    const std::unique_ptr<xmlBuffer, decltype(&xmlBufferFree)> buffer(xmlBufferCreate(),
                                                                      xmlBufferFree);
    xmlNodeDump(buffer.get(), element->doc, const_cast<xmlNode*>(element), 0, 0);
    const void* bytes = xmlBufferContent(buffer.get());
    return static_cast<const char*>(bytes);
}

MetadataEntries MetadataEntries::parse(const std::optional<std::string>& text) {
    MetadataEntries all;
    if (!text) {
        return all;
    }
    const auto document = xml::Document::parse(*text, "our metadata");
    for (const xmlNode* element : xml::children(document.root())) {
        const auto mac = xml::attribute(element, "mac");
        all.entries_.push_back({.mac = mac ? std::optional(document.read_at(
                                                 element, [&] { return MacAddress::parse(*mac); }))
                                           : std::nullopt,
                                .text = element_text(element)});
    }
    return all;
}

const std::string* MetadataEntries::find(const MacAddress& mac) const {
    const auto found = std::ranges::find(entries_, std::optional(mac), &Entry::mac);
    return found == entries_.end() ? nullptr : &found->text;
}

void MetadataEntries::remove(const MacAddress& mac) {
    std::erase_if(entries_, [&](const Entry& entry) { return entry.mac == mac; });
}

std::optional<std::string> MetadataEntries::text(const std::string& root_name) const {
    std::string content;
    bool any = false;
    for (const Entry& entry : entries_) {
        content += entry.text;
        any |= entry.mac.has_value();
    }
    return any ? std::optional(element_text(root_name, {}, content)) : std::nullopt;
}

void add_entry(const Domain& domain, Description description, const MetadataPlace& place,
               const MacAddress& mac, const std::string& text) {
    auto entries = MetadataEntries::parse(domain.metadata(description, place.uri));
    entries.remove(mac);
    entries.add(mac, text);
    domain.set_metadata(description, place.prefix, place.uri, entries.text(place.root));
}

void remove_entry(const Domain& domain, Description description, const MetadataPlace& place,
                  const MacAddress& mac) {
    auto entries = MetadataEntries::parse(domain.metadata(description, place.uri));
    if (entries.find(mac) != nullptr) {
        entries.remove(mac);
        domain.set_metadata(description, place.prefix, place.uri, entries.text(place.root));
    }
}

} // namespace tapline::libvirt
