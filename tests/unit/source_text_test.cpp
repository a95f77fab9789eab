// Where elements are found in XML, byte for byte.
#include "backend/base/error.h"
#include "xml/source_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tapline::xml {
namespace {

using testing::ElementsAre;

std::vector<std::string> parts_of(std::string_view text) {
    std::vector<std::string> parts;
    for (const ElementText& each : scan_elements(text)) {
        parts.emplace_back(text.substr(each.begin, each.end - each.begin));
    }
    return parts;
}

TEST(SourceText, FindsElementsInTheOrderTheyBegin) {
    EXPECT_THAT(parts_of("<a><b/>x<c>y</c></a>"),
                ElementsAre("<a><b/>x<c>y</c></a>", "<b/>", "<c>y</c>"));
}

TEST(SourceText, TellsContentFromTags) {
    const auto elements = scan_elements("<a >x</a ><!-- -->");
    ASSERT_EQ(elements.size(), 1);
    EXPECT_EQ(elements[0].name, "a");
    EXPECT_EQ(elements[0].name_end(), 2);
    EXPECT_EQ(elements[0].tag_end, 4);
    EXPECT_EQ(elements[0].content_end, 5);
    EXPECT_EQ(elements[0].end, 10);
    EXPECT_FALSE(elements[0].is_empty_tag);
    EXPECT_TRUE(scan_elements("<a/>")[0].is_empty_tag);
}

TEST(SourceText, FindsAttributesWhateverTheirQuotesHold) {
    const auto elements = scan_elements("<a x = '>\"/>' y:z=\"'&lt;\"/>");
    ASSERT_EQ(elements.size(), 1);
    ASSERT_EQ(elements[0].attributes.size(), 2);
    const AttributeText& x = elements[0].attributes[0];
    EXPECT_EQ(x.begin, 3);
    EXPECT_EQ(x.value_begin, 8);
    EXPECT_EQ(x.value_end, 12);
    EXPECT_EQ(x.end, 13);
    EXPECT_NE(elements[0].attribute("y:z"), nullptr);
    EXPECT_EQ(elements[0].attribute("z"), nullptr);
}

TEST(SourceText, FindsNoElementsWhereThereAreNone) {
    EXPECT_THAT(parts_of("\xef\xbb\xbf<?xml version='1.0'?><!-- <b> --><a><![CDATA[<c>]]]]>"
                         "<?d <e>?></a>"),
                testing::SizeIs(1));
}

TEST(SourceText, CountsCommentsAndInstructionsButNoText) {
    const auto elements = scan_elements("<a>x<!--c-->y<?p?><![CDATA[z]]><b/></a>");
    EXPECT_THAT(elements[0].items, ElementsAre(12, 18, 35));
}

TEST(SourceTextRefuses, WhatNoParserTakes) {
    for (const char* text : {"<", "<a", "<a x", "<a x=", "<a x='", "<a x=1>", "<a/", "<a>", "</a>",
                             "<!--", "<?x", "<![CDATA[", "<a></a", "<a ='1'/>"}) {
        EXPECT_THROW(scan_elements(text), Error) << text;
    }
}

} // namespace
} // namespace tapline::xml
