#include "xml/document.h"

#include <fmt/format.h>
#include <glib.h>
#include <libxml/parser.h>
#include <libxml/SAX2.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace tapline::xml {
namespace {

using Context = std::unique_ptr<xmlParserCtxt, decltype(&xmlFreeParserCtxt)>;
using Text = std::unique_ptr<xmlChar, decltype(xmlFree)>;

const xmlChar* as_xml(const char* text) {
    return BAD_CAST text;
}

std::string stripped(std::string text) {
    g_strstrip(text.data());
    text.resize(std::strlen(text.data()));
    return text;
}

// A refusal may repeat what the text says.
std::string printable(const std::string& text) {
    g_autofree char* valid = g_utf8_make_valid(text.data(), static_cast<gssize>(text.size()));
    std::string shown;
    for (const char* at = valid; *at != '\0'; at = g_utf8_next_char(at)) {
        const bool is_safe = g_unichar_isprint(g_utf8_get_char(at)) != 0;
        shown += is_safe ? std::string(at, g_utf8_skip[static_cast<uint8_t>(*at)]) : "\ufffd";
    }
    return shown;
}

[[noreturn]] void refuse_at(const std::string& source, long line, const std::string& cause,
                            const std::string& next_step) {
    throw Error({.operation = fmt::format("read domain XML {}, line {}", source, line),
                 .cause = printable(cause),
                 .next_step = next_step});
}

long line_of(std::string_view text, size_t place) {
    return 1 + std::ranges::count(text.substr(0, place), '\n');
}

void check_encoding(const std::string& text, const std::string& source) {
    const char* end = nullptr;
    if (g_utf8_validate_len(text.data(), text.size(), &end) == 0) {
        refuse_at(source, line_of(text, static_cast<size_t>(end - text.data())),
                  "it is not in UTF-8", "convert it, for example with iconv(1)");
    }
}

// libxml2 compares each attribute of an element with all others: a text full of them takes minutes.
// No attribute holds a '<', so those of one element stand between two.
void check_attributes(std::string_view text, const std::string& source) {
    size_t attributes = 0;
    for (size_t at = text.find_first_of("<="); at != std::string_view::npos;
         at = text.find_first_of("<=", at + 1)) {
        const size_t next = text.find_first_not_of(" \t\r\n", at + 1);
        const bool is_value = next != std::string_view::npos && text[at] == '=' &&
                              (text[next] == '"' || text[next] == '\'');
        attributes = text[at] == '<' ? 0 : attributes + (is_value ? 1 : 0);
        if (attributes > attributes_max) {
            refuse_at(source, line_of(text, at),
                      fmt::format("an element has more than {} attributes", attributes_max), {});
        }
    }
}

// What stopped the parser while it read.
struct Refusal {
    long line = 0;
    std::string cause = {}; // Empty: nothing did.
    std::string next_step = {};
};

void stop(void* context, const std::string& cause, const std::string& next_step) {
    auto* parser = static_cast<xmlParserCtxt*>(context);
    *static_cast<Refusal*>(parser->_private) = {
        .line = xmlSAX2GetLineNumber(parser), .cause = cause, .next_step = next_step};
    xmlStopParser(parser);
}

// Called at "<!DOCTYPE", before anything in it is read.
void refuse_document_type(void* context, const xmlChar*, const xmlChar*, const xmlChar*) {
    stop(context, "it has a document type, which no domain needs", "remove <!DOCTYPE ...>");
}

// libxml2 has the same limit, and words for programmers.
void start_element(void* context, const xmlChar* name, const xmlChar* prefix, const xmlChar* uri,
                   int namespaces, const xmlChar** namespace_list, int attributes, int defaulted,
                   const xmlChar** attribute_list) {
    if (static_cast<xmlParserCtxt*>(context)->nameNr >= depth_max) {
        stop(context, fmt::format("elements are nested more than {} deep", depth_max),
             "give the output of `virsh dumpxml NAME`");
        return;
    }
    xmlSAX2StartElementNs(context, name, prefix, uri, namespaces, namespace_list, attributes,
                          defaulted, attribute_list);
}

} // namespace

Document Document::parse(const std::string& text, const std::string& source) {
    if (text.size() > document_bytes_max) {
        throw Error({.operation = fmt::format("read domain XML {}", source),
                     .cause = fmt::format("it is longer than {} bytes", document_bytes_max)});
    }
    check_encoding(text, source);
    check_attributes(text, source);
    Refusal refusal;
    const Context parser(xmlNewParserCtxt(), xmlFreeParserCtxt);
    parser->_private = &refusal;
    parser->sax->internalSubset = refuse_document_type;
    parser->sax->startElementNs = start_element;
    Tree tree(xmlCtxtReadMemory(parser.get(), text.data(), static_cast<int>(text.size()), nullptr,
                                "UTF-8", XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING),
              xmlFreeDoc);
    const xmlError* failure = xmlCtxtGetLastError(parser.get());
    const long line = failure == nullptr ? 1 : failure->line;
    if (!refusal.cause.empty()) {
        refuse_at(source, refusal.line, refusal.cause, refusal.next_step);
    }
    if (!tree || parser->nsWellFormed == 0 || xmlDocGetRootElement(tree.get()) == nullptr) {
        const std::string message =
            failure != nullptr && failure->message != nullptr ? failure->message : "it is no XML";
        refuse_at(source, line, message.substr(0, message.find('\n')), {});
    }
    return {std::move(tree), source};
}

void Document::refuse(const xmlNode* element, const std::string& cause,
                      const std::string& next_step) const {
    refuse_at(source_, xmlGetLineNo(element), cause, next_step);
}

void Document::check_printable(const xmlNode* element, const std::string& text) const {
    for (const char* at = text.c_str(); *at != '\0'; at = g_utf8_next_char(at)) {
        if (g_unichar_iscntrl(g_utf8_get_char(at))) {
            refuse(element, "it holds a control character");
        }
    }
}

std::string to_string(const xmlChar* text) {
    const void* bytes = text; // libxml2's characters are bytes of UTF-8.
    return text == nullptr ? "" : static_cast<const char*>(bytes);
}

bool is_element(const xmlNode* node, const char* name, const char* name_space) {
    const xmlChar* in = node->ns == nullptr ? nullptr : node->ns->href;
    return node->type == XML_ELEMENT_NODE && xmlStrEqual(node->name, as_xml(name)) != 0 &&
           xmlStrEqual(in, as_xml(name_space)) != 0;
}

std::vector<const xmlNode*> children(const xmlNode* parent) {
    std::vector<const xmlNode*> found;
    for (const xmlNode* node = parent == nullptr ? nullptr : parent->children; node != nullptr;
         node = node->next) {
        if (node->type == XML_ELEMENT_NODE) {
            found.push_back(node);
        }
    }
    return found;
}

std::vector<const xmlNode*> children(const xmlNode* parent, const char* name,
                                     const char* name_space) {
    auto found = children(parent);
    std::erase_if(found, [&](const xmlNode* each) { return !is_element(each, name, name_space); });
    return found;
}

const xmlNode* child(const xmlNode* parent, const char* name, const char* name_space) {
    const auto found = children(parent, name, name_space);
    return found.empty() ? nullptr : found.front();
}

std::optional<std::string> attribute(const xmlNode* element, const char* name) {
    const Text value(element == nullptr ? nullptr : xmlGetNoNsProp(element, as_xml(name)), xmlFree);
    return value ? std::optional(to_string(value.get())) : std::nullopt;
}

bool has_value(const xmlNode* element, const char* name, const char* value) {
    return attribute(element, name) == value;
}

std::string content(const xmlNode* element) {
    const Text text(element == nullptr ? nullptr : xmlNodeGetContent(element), xmlFree);
    return stripped(to_string(text.get()));
}

} // namespace tapline::xml
