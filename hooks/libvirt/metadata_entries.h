// The element that a domain's metadata has for a namespace of ours, as a list of its entries.
#pragma once

#include "backend/mac_address.h"
#include "hooks/libvirt/connection.h"

#include <libxml/tree.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tapline::libvirt {

using Attributes = std::vector<std::pair<std::string, std::string>>;

// One element of XML, with what is in it already as text.
std::string element_text(const std::string& name, const Attributes& attributes,
                         const std::string& content = {});

// An element as it stands in a document.
std::string element_text(const xmlNode* element);

class MetadataEntries {
public:
    // As libvirt gives it: without a namespace. Absent: none. Throws Error.
    static MetadataEntries parse(const std::optional<std::string>& text);

    const std::string* find(const MacAddress& mac) const; // nullptr where there is none.
    void add(const MacAddress& mac, std::string text) { entries_.push_back({mac, text}); }
    void remove(const MacAddress& mac);
    // As libvirt takes it; absent where no entry is left.
    std::optional<std::string> text(const std::string& root_name) const;

private:
    struct Entry {
        std::optional<MacAddress> mac; // Absent: of something else, which is left alone.
        std::string text;
    };
    std::vector<Entry> entries_;
};

// Which element of a domain.
struct MetadataPlace {
    const char* prefix;
    const char* uri;
    const char* root;
};

// In place of one that the address has already. Throw Error.
void add_entry(const Domain& domain, Description description, const MetadataPlace& place,
               const MacAddress& mac, const std::string& text);
// Goes on where there is none.
void remove_entry(const Domain& domain, Description description, const MetadataPlace& place,
                  const MacAddress& mac);

} // namespace tapline::libvirt
