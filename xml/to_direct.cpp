#include "xml/conversion.h"

#include "backend/base/error.h"
#include "backend/base/number.h"
#include "xml/domain_additions.h"
#include "xml/forms.h"

#include <fmt/format.h>
#include <glib.h>

#include <algorithm>

namespace tapline::xml {
namespace {

std::string without_attribute(const Editor& editor, const xmlNode* element, const char* name) {
    const ElementText& at = editor.place(element);
    std::string text(editor.bytes(element));
    if (const AttributeText* found = at.attribute(name)) {
        const size_t before = text.find_last_not_of(" \t\r\n", found->begin - at.begin - 1) + 1;
        text.erase(before, found->end - at.begin - before);
    }
    return text;
}

class ToDirect {
public:
    ToDirect(Editor& editor, size_t index, const Conversion& conversion)
        : editor_(editor),
          document_(editor.document()),
          conversion_(conversion),
          domain_(Domain::read(document_)),
          interface_(domain_.interfaces.at(index)),
          element_(interface_elements(document_).at(index)),
          metadata_(find_metadata()) {}

    InterfaceMetadata run() {
        change_start_tag();
        change_source();
        change_target();
        change_model();
        if (!is_pump()) {
            exchange_directions(editor_, child(element_, "bandwidth"));
        }
        remove_what_is_refused();
        put_back();
        for (const std::string& name : added_) {
            if (const xmlNode* found = child(element_, name.c_str())) {
                editor_.remove(found);
            }
        }
        remove_from_domain(editor_, metadata_.element, remaining());
        metadata_.element = nullptr;
        metadata_.has_mtu_as_direct = replaced("mtu") != nullptr;
        return metadata_;
    }

private:
    bool is_pump() const { return interface_.kind == InterfaceKind::vhostuser; }

    InterfaceMetadata find_metadata() {
        auto all = read_metadata(document_);
        const auto found = std::ranges::find(all, *interface_.mac, &InterfaceMetadata::mac);
        const std::string words = attribute(found->element, "added").value_or("");
        g_auto(GStrv) names = g_strsplit(words.c_str(), " ", -1);
        for (gchar** name = names; *name != nullptr; ++name) {
            added_.emplace_back(*name);
        }
        for (const xmlNode* each : children(found->element, "was", metadata_namespace)) {
            const auto inside = children(each);
            if (inside.size() != 1) {
                document_.refuse(each, "it does not hold one element");
            }
            (attribute(each, "after") ? taken_out_ : replaced_).push_back(inside.front());
        }
        return *found;
    }

    const xmlNode* replaced(const char* name) const {
        const auto found = std::ranges::find_if(
            replaced_, [&](const xmlNode* each) { return is_element(each, name); });
        return found == replaced_.end() ? nullptr : *found;
    }

    // Whether there is now what replaced it then; else somebody has decided otherwise since.
    bool is_untouched(const xmlNode* was) const {
        const xmlNode* now = nullptr;
        std::string expected;
        if (is_element(was, "model")) {
            now = child(element_, "model");
            expected = pump_model;
        } else if (is_element(was, "target")) {
            now = child(element_, "target");
            expected = handoff_target(was, *interface_.mac);
        }
        return now != nullptr && editor_.bytes(now) == expected;
    }

    void change_start_tag() {
        const ElementText& at = editor_.place(element_);
        const bool trust = metadata_.trust_guest_rx_filters;
        const xmlNode* was = replaced("interface");
        if (was != nullptr && has_value(was, "trustGuestRxFilters", "yes") == trust) {
            const ElementText& from = editor_.place(was);
            const size_t attributes_end = from.tag_end - (from.is_empty_tag ? 2 : 1);
            editor_.replace(at.name_end(), at.tag_end - 1,
                            std::string(editor_.bytes(from.name_end(), attributes_end)));
            return;
        }
        const AttributeText& type = *at.attribute("type");
        editor_.replace(type.value_begin, type.value_end, "direct");
        if (trust && at.attribute("trustGuestRxFilters") == nullptr) {
            editor_.insert(type.end, " trustGuestRxFilters='yes'");
        }
    }

    // A parent or a mode that were changed since, on this host or on the way to it, are those.
    std::string source_for(const xmlNode* was) const {
        const std::string usual = direct_source(metadata_.device);
        if (was != nullptr) {
            const InterfaceText then{.parent = attribute(was, "dev"),
                                     .mode = attribute(was, "mode").value_or("vepa")};
            if (then.parent && direct_source(then) == usual) {
                return std::string(editor_.bytes(was));
            }
        }
        return usual;
    }

    void change_source() {
        const xmlNode* source = child(element_, "source");
        const bool comes_back = std::ranges::any_of(
            taken_out_, [](const xmlNode* each) { return is_element(each, "source"); });
        if (comes_back) {
            return;
        }
        if (source != nullptr && !is_pump() && source->children != nullptr) {
            document_.refuse(source, "type direct has no addresses for the host", "remove it");
        }
        const std::string bytes = source_for(replaced("source"));
        if (source != nullptr) {
            editor_.replace(source, bytes);
        } else {
            editor_.insert(editor_.place(element_).tag_end, blanks() + bytes);
        }
    }

    void change_target() {
        const xmlNode* target = child(element_, "target");
        if (is_pump() || std::ranges::find(added_, "target") != added_.end()) {
            return;
        }
        const xmlNode* was = replaced("target");
        editor_.replace(target, was != nullptr && is_untouched(was)
                                    ? std::string(editor_.bytes(was))
                                    : without_attribute(editor_, target, "managed"));
    }

    void change_model() {
        const xmlNode* was = replaced("model");
        if (was != nullptr && is_untouched(was)) {
            editor_.replace(child(element_, "model"), std::string(editor_.bytes(was)));
        }
    }

    // All that was there as type direct, too, is elsewhere now, but for <mtu>.
    void remove_what_is_refused() {
        for (const xmlNode* each : children(element_)) {
            const std::string name = to_string(each->name);
            const bool was_there = replaced(name.c_str()) != nullptr;
            if (!was_there && each->ns == nullptr &&
                rule_of(name).fate(conversion_.to) == Fate::refused &&
                conversion_.to == InterfaceKind::direct) {
                conversion_.give_up(document_, each, name);
                editor_.remove(each);
            }
        }
    }

    std::string blanks() const {
        return std::string(editor_.blanks_before(children(element_).front()));
    }

    // What was taken out, behind as many elements, comments and instructions as then.
    void put_back() {
        const ElementText& all = editor_.place(element_);
        for (const xmlNode* each : taken_out_) {
            const size_t after = document_.read_at(each, [&] {
                return parse_number<size_t>("place", attribute(each->parent, "after").value(), 0,
                                            document_bytes_max);
            });
            const size_t items = std::min(after, all.items.size());
            editor_.insert(items == 0 ? all.tag_end : all.items[items - 1],
                           std::string(editor_.blanks_before(each)) +
                               (is_element(each, "source") ? source_for(each)
                                                           : std::string(editor_.bytes(each))));
            if (is_element(each, "bandwidth")) {
                forget_limits(each);
            }
        }
    }

    // Those that say what the bandwidth says again.
    void forget_limits(const xmlNode* bandwidth) {
        try {
            for (const std::string& limit : limits_of(bandwidth)) {
                std::erase(metadata_.pump_options, limit);
            }
        } catch (const Error&) {
            return; // It was dropped, and never became a limit.
        }
    }

    Remaining remaining() const {
        auto remaining = Remaining::none;
        for (const Interface& each : domain_.interfaces) {
            if (!each.device || &each == &interface_) {
                continue;
            }
            if (each.kind == InterfaceKind::vhostuser) {
                return Remaining::a_pump;
            }
            remaining = Remaining::some_but_no_pump;
        }
        return remaining;
    }

    Editor& editor_;
    const Document& document_;
    const Conversion& conversion_;
    Domain domain_;
    const Interface& interface_;
    const xmlNode* element_;
    std::vector<const xmlNode*> replaced_; // Elements in the metadata, as they were.
    std::vector<const xmlNode*> taken_out_;
    std::vector<std::string> added_; // Names of elements that were not there.
    InterfaceMetadata metadata_;
};

} // namespace

InterfaceMetadata to_direct(Editor& editor, size_t index, const Conversion& conversion) {
    return ToDirect(editor, index, conversion).run();
}

} // namespace tapline::xml
