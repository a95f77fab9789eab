#include "hooks/migration.h"

#include "xml/editor.h"
#include "xml/metadata.h"

#include <glib.h>

namespace tapline::hooks {
namespace {

void rename(xml::Editor& editor, const xmlNode* element, const char* attribute,
            const std::map<std::string, std::string>& names) {
    const auto name = xml::attribute(element, attribute);
    const auto found = name ? names.find(*name) : names.end();
    if (found == names.end()) {
        return;
    }
    if (const xml::AttributeText* place = editor.place(element).attribute(attribute)) {
        g_autofree gchar* text = g_markup_escape_text(found->second.c_str(), -1);
        editor.replace(place->value_begin, place->value_end, text);
    }
}

} // namespace

std::string rename_parents(const std::string& domain,
                           const std::map<std::string, std::string>& names) {
    xml::Editor editor(domain, "from libvirt");
    const xmlNode* root = editor.document().root();
    for (const xmlNode* each : xml::children(xml::child(root, "devices"), "interface")) {
        const xmlNode* source = xml::child(each, "source");
        if (xml::has_value(each, "type", "direct") && source != nullptr) {
            rename(editor, source, "dev", names);
        }
    }
    const xmlNode* ours =
        xml::child(xml::child(root, "metadata"), "interfaces", xml::metadata_namespace);
    for (const xmlNode* each : xml::children(ours, "interface", xml::metadata_namespace)) {
        rename(editor, each, "parent", names);
    }
    return editor.result();
}

} // namespace tapline::hooks
