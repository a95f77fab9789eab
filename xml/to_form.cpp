#include "backend/base/error.h"
#include "xml/conversion.h"
#include "xml/domain_additions.h"
#include "xml/forms.h"

#include <fmt/format.h>

#include <algorithm>

namespace tapline::xml {
namespace {

class ToForm {
public:
    ToForm(Editor& editor, size_t index, const Conversion& conversion,
           const std::optional<InterfaceMetadata>& before)
        : editor_(editor),
          document_(editor.document()),
          conversion_(conversion),
          before_(before),
          domain_(Domain::read(document_)),
          interface_(domain_.interfaces.at(index)),
          element_(interface_elements(document_).at(index)),
          layout_(editor),
          prefix_(metadata_prefix(document_)) {}

    void run() {
        refuse_doubles();
        choose_address();
        change_start_tag();
        change_source_and_target();
        for (const xmlNode* each : children(element_)) {
            change(each);
        }
        if (is_pump() && child(element_, "model") == nullptr) {
            conversion_.give_up(document_, element_, "model");
            add("model", pump_model);
        }
        insert_added();
        add_to_domain(editor_, entry(), is_pump() && !domain_.shared_memory);
    }

private:
    bool is_pump() const { return conversion_.to == InterfaceKind::vhostuser; }

    // libvirt takes the first and drops the rest without a word.
    void refuse_doubles() const {
        for (const char* name : {"source", "target", "mac", "model", "driver", "bandwidth"}) {
            if (const auto all = children(element_, name); all.size() > 1) {
                document_.refuse(all[1], fmt::format("there is a <{}> before it already", name),
                                 "remove one of them");
            }
        }
    }

    void choose_address() {
        if (!interface_.mac && child(element_, "mac") != nullptr) {
            document_.refuse(child(element_, "mac"), "it has no address");
        }
        if (!interface_.mac) {
            interface_.mac = before_ ? before_->mac : MacAddress::random();
            add("mac", fmt::format("<mac address='{}'/>", interface_.mac->text()));
        }
        const auto same = std::ranges::count(domain_.interfaces, interface_.mac, &Interface::mac);
        if (same > 1) {
            document_.refuse(element_, fmt::format("another interface has MAC address {}, too",
                                                   interface_.mac->text()));
        }
    }

    void change_start_tag() {
        const ElementText& at = editor_.place(element_);
        const AttributeText& type = *at.attribute("type");
        const AttributeText* trust = at.attribute("trustGuestRxFilters");
        const auto attributes = editor_.bytes(at.name_end(), at.tag_end - 1);
        if (trust != nullptr || editor_.bytes(type.value_begin, type.value_end) != "direct") {
            was_.push_back(fmt::format("<{0}:was><interface{1}/></{0}:was>", prefix_, attributes));
        }
        editor_.replace(type.value_begin, type.value_end, to_text(conversion_.to));
        if (trust != nullptr) {
            const size_t blank = editor_.bytes(0, trust->begin).find_last_not_of(" \t\r\n") + 1;
            editor_.replace(blank, trust->end, "");
        }
    }

    // Where there is no <target> yet, it takes the place of <source>.
    void change_source_and_target() {
        const xmlNode* source = child(element_, "source");
        const xmlNode* target = child(element_, "target");
        if (is_pump()) {
            const InterfaceText plain{.parent = interface_.parent, .mode = interface_.mode};
            exchange(source, pump_source(*interface_.mac), direct_source(plain));
            return;
        }
        take_out(source);
        const std::string ours = handoff_target(target, *interface_.mac);
        if (target == nullptr) {
            add("target", ours);
        } else {
            exchange(target, ours, "");
        }
    }

    void change(const xmlNode* element) {
        const std::string name = to_string(element->name);
        if (element->ns != nullptr) {
            return;
        }
        if (rule_of(name).fate(conversion_.to) == Fate::refused) {
            conversion_.give_up(document_, element, name);
            take_out(element);
        } else if (name == "bandwidth") {
            change_bandwidth(element);
        } else if (name == "mtu" && (!before_ || before_->has_mtu_as_direct)) {
            exchange(element, std::string(editor_.bytes(element)), "");
        } else if (name == "model" && is_pump() &&
                   !attribute(element, "type").value_or("").starts_with("virtio")) {
            conversion_.give_up(document_, element, "model");
            exchange(element, pump_model, "");
        }
    }

    void change_bandwidth(const xmlNode* bandwidth) {
        if (conversion_.drops("bandwidth")) {
            take_out(bandwidth);
            return;
        }
        for (const xmlNode* direction : children(bandwidth)) {
            if (attribute(direction, "floor")) {
                conversion_.give_up(document_, direction, "bandwidth");
            }
            if (is_pump() && attribute(direction, "peak")) {
                conversion_.give_up(document_, direction, "peak");
            }
        }
        if (is_pump()) {
            limits_ = document_.read_at(bandwidth, [&] { return limits_of(bandwidth); });
            take_out(bandwidth);
        } else {
            exchange_directions(editor_, bandwidth);
        }
    }

    // usual: what the way back writes by itself.
    void exchange(const xmlNode* element, const std::string& now, std::string_view usual) {
        if (editor_.bytes(element) != usual) {
            was_.push_back(fmt::format("<{0}:was>{1}</{0}:was>", prefix_, editor_.bytes(element)));
        }
        editor_.replace(element, now);
    }

    // Its place is told by how many elements, comments and instructions will stand before it.
    void take_out(const xmlNode* element) {
        const ElementText& at = editor_.place(element);
        const ElementText& all = editor_.place(element_);
        const size_t begin = at.begin - editor_.blanks_before(element).size();
        const auto item = std::ranges::find(all.items, at.end);
        if (begin != (item == all.items.begin() ? all.tag_end : *std::prev(item))) {
            document_.refuse(element, "there is text before it that means nothing", "remove it");
        }
        taken_out_.push_back(element);
        editor_.remove(element);
    }

    void add(const std::string& name, const std::string& element) {
        added_names_ += (added_names_.empty() ? "" : " ") + name;
        added_.push_back(element);
    }

    void insert_added() {
        const xmlNode* source = child(element_, "source");
        for (const std::string& each : added_) {
            editor_.insert(editor_.place(source).end,
                           std::string(editor_.blanks_before(source)) + each);
        }
    }

    // Elements that stand before it when all is done.
    size_t place_of(const xmlNode* element) const {
        const size_t begin = editor_.place(element).begin;
        const auto before = [&](const xmlNode* each) { return editor_.place(each).begin < begin; };
        const auto& items = editor_.place(element_).items;
        const auto stand = std::ranges::count_if(items, [&](size_t end) { return end <= begin; });
        const auto gone = std::ranges::count_if(taken_out_, before);
        const size_t come = before(child(element_, "source")) ? added_.size() : 0;
        return static_cast<size_t>(stand - gone) + come;
    }

    InterfaceMetadata metadata() const {
        InterfaceMetadata found{.element = nullptr,
                                .mac = *interface_.mac,
                                .trust_guest_rx_filters = interface_.trust_guest_rx_filters,
                                .device = before_ ? before_->device : InterfaceText{},
                                .pump_options =
                                    before_ ? before_->pump_options : std::vector<std::string>{}};
        if (!before_) {
            found.device.parent = interface_.parent;
            found.device.mode = interface_.mode == "passthrough" ? "passthru" : interface_.mode;
        }
        found.pump_options.insert(found.pump_options.begin(), limits_.begin(), limits_.end());
        return found;
    }

    std::string entry() const {
        const InterfaceMetadata all = metadata();
        std::string text =
            fmt::format("<{}:interface mac='{}'{}", prefix_, interface_.mac->text(), namespaces());
        for (const NamedValue& each : all.attributes()) {
            text += fmt::format(" {}='{}'", each.name, escaped(each.value));
        }
        if (!added_names_.empty()) {
            text += fmt::format(" added='{}'", added_names_);
        }
        const std::string inside = entry_children(all);
        return inside.empty()
                   ? text + "/>"
                   : fmt::format("{}>{}{}</{}:interface>", text, inside, layout_.line(2), prefix_);
    }

    // Declared between <domain> and here, where what is kept there is out of their reach.
    std::string namespaces() const {
        const std::string ours = "xmlns:" + prefix_;
        std::vector<std::string_view> names{ours};
        std::string text;
        for (const xmlNode* node = element_; node != document_.root(); node = node->parent) {
            for (const AttributeText& each : editor_.place(node).attributes) {
                if (each.name.starts_with("xmlns:") &&
                    std::ranges::find(names, each.name) == names.end()) {
                    names.push_back(each.name);
                    text += fmt::format(" {}", editor_.bytes(each.begin, each.end));
                }
            }
        }
        return text;
    }

    std::string entry_children(const InterfaceMetadata& all) const {
        std::string text;
        const auto child_line = [&](const std::string& element) {
            text += layout_.line(3) + element;
        };
        for (const std::string& mac : all.device.allow) {
            child_line(fmt::format("<{}:allow mac='{}'/>", prefix_, escaped(mac)));
        }
        for (const NamedValue& each : all.pump_settings()) {
            child_line(fmt::format("<{}:pump {}='{}'/>", prefix_, each.name, escaped(each.value)));
        }
        for (const std::string& each : was_) {
            child_line(each);
        }
        auto in_order = taken_out_;
        std::ranges::sort(in_order, {},
                          [&](const xmlNode* each) { return editor_.place(each).begin; });
        for (const xmlNode* each : in_order) {
            child_line(fmt::format("<{0}:was after='{1}'>{2}{3}</{0}:was>", prefix_, place_of(each),
                                   editor_.blanks_before(each), editor_.bytes(each)));
        }
        return text;
    }

    Editor& editor_;
    const Document& document_;
    const Conversion& conversion_;
    const std::optional<InterfaceMetadata>& before_;
    Domain domain_;
    Interface& interface_;
    const xmlNode* element_;
    Layout layout_;
    std::string prefix_;

    std::vector<std::string> was_; // Elements of the metadata.
    std::vector<const xmlNode*> taken_out_;
    std::vector<std::string> added_; // Behind <source>.
    std::string added_names_;
    std::vector<std::string> limits_;
};

} // namespace

void to_form(Editor& editor, size_t index, const Conversion& conversion,
             const std::optional<InterfaceMetadata>& before) {
    ToForm(editor, index, conversion, before).run();
}

} // namespace tapline::xml
