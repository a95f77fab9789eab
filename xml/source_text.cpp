#include "xml/source_text.h"

#include "backend/base/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace tapline::xml {
namespace {

constexpr std::string_view blanks = " \t\r\n";

class Scanner {
public:
    explicit Scanner(std::string_view text) : text_(text) {}

    std::vector<ElementText> scan() {
        for (at_ = text_.find('<'); at_ != std::string_view::npos; at_ = text_.find('<', at_)) {
            if (skip("<!--", "-->") || skip("<?", "?>")) {
                end_item();
            } else if (skip("<![CDATA[", "]]>")) {
                continue; // Only text.
            } else if (text_.substr(at_).starts_with("</")) {
                close();
            } else {
                open();
            }
        }
        if (!parents_.empty()) {
            fail();
        }
        return std::move(elements_);
    }

private:
    [[noreturn]] void fail() const {
        throw Error({.operation = fmt::format("follow the XML text at byte {}", at_),
                     .cause = "it is not what its parser took it for"});
    }

    size_t after(std::string_view what, size_t from) const {
        const size_t found = text_.find(what, from);
        if (found == std::string_view::npos) {
            fail();
        }
        return found + what.size();
    }

    bool skip(std::string_view begin, std::string_view end) {
        if (!text_.substr(at_).starts_with(begin)) {
            return false;
        }
        at_ = after(end, at_ + begin.size());
        return true;
    }

    char next() const {
        if (at_ >= text_.size()) {
            fail();
        }
        return text_[at_];
    }

    void skip_blanks() { at_ = std::min(text_.find_first_not_of(blanks, at_), text_.size()); }

    std::string_view name() {
        const size_t begin = at_;
        at_ = std::min(text_.find_first_of(" \t\r\n=/>", at_), text_.size());
        return text_.substr(begin, at_ - begin);
    }

    AttributeText attribute() {
        AttributeText found{.begin = at_};
        found.name = name();
        skip_blanks();
        if (found.name.empty() || next() != '=') {
            fail();
        }
        ++at_;
        skip_blanks();
        const char quote = next();
        if (quote != '"' && quote != '\'') {
            fail();
        }
        found.value_begin = at_ + 1;
        found.end = after({&quote, 1}, found.value_begin);
        found.value_end = found.end - 1;
        at_ = found.end;
        return found;
    }

    void open() {
        ElementText element{.begin = at_};
        ++at_;
        element.name = name();
        for (skip_blanks(); next() != '>' && next() != '/'; skip_blanks()) {
            element.attributes.push_back(attribute());
        }
        element.is_empty_tag = next() == '/';
        at_ = after(">", at_);
        element.tag_end = element.content_end = element.end = at_;
        elements_.push_back(std::move(element));
        if (elements_.back().is_empty_tag) {
            end_item();
        } else {
            parents_.push_back(elements_.size() - 1);
        }
    }

    void close() {
        if (parents_.empty()) {
            fail();
        }
        ElementText& element = elements_[parents_.back()];
        element.content_end = at_;
        element.end = at_ = after(">", at_);
        parents_.pop_back();
        end_item();
    }

    void end_item() {
        if (!parents_.empty()) {
            elements_[parents_.back()].items.push_back(at_);
        }
    }

    std::string_view text_;
    size_t at_ = 0;
    std::vector<ElementText> elements_;
    std::vector<size_t> parents_; // Indices of those that are open.
};

} // namespace

const AttributeText* ElementText::attribute(std::string_view name_wanted) const {
    const auto found = std::ranges::find(attributes, name_wanted, &AttributeText::name);
    return found == attributes.end() ? nullptr : &*found;
}

std::vector<ElementText> scan_elements(std::string_view text) {
    return Scanner(text).scan();
}

} // namespace tapline::xml
