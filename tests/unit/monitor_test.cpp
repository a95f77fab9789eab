#include "hooks/libvirt/monitor.h"

#include "backend/base/error.h"

#include <gtest/gtest.h>

#include <string>

namespace tapline::libvirt {
namespace {

using nlohmann::json;

TEST(Qmp, CommandsHaveArgumentsOnlyWhereThereAreSome) {
    EXPECT_EQ(json::parse(qmp_command("query-status", json::object())),
              json({{"execute", "query-status"}}));
    EXPECT_EQ(json::parse(qmp_command("device_del", {{"id", "a\"b"}})),
              json({{"execute", "device_del"}, {"arguments", {{"id", "a\"b"}}}}));
}

TEST(Qmp, AnswersGiveWhatTheCommandReturned) {
    EXPECT_EQ(parse_qmp_answer("ask", R"({"return": [1], "id": "libvirt-1"})"), json({1}));
    EXPECT_EQ(parse_qmp_answer("ask", R"({"return": {}})"), json::object());
}

TEST(Qmp, RefusalsAreToldInQemusWords) {
    try {
        parse_qmp_answer("add a card",
                         R"({"error": {"class": "GenericError", "desc": "Duplicate ID"}})");
        FAIL() << "taken for an answer";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "add a card: Duplicate ID");
    }
}

TEST(Qmp, WhatIsNoAnswerIsRefused) {
    const std::string long_text(qmp_text_bytes_max, ' ');
    for (const std::string& text :
         {std::string(), std::string("{"), std::string("[]"), std::string(R"({"id": 1})"),
          std::string(R"({"error": 5})"), R"({"return": 1})" + long_text}) {
        EXPECT_THROW(parse_qmp_answer("ask", text), Error) << text.substr(0, 20);
    }
}

TEST(Qmp, EventsThatCannotBeReadHaveNoDetails) {
    EXPECT_EQ(parse_qmp_event(R"({"name": "net0"})"), json({{"name", "net0"}}));
    EXPECT_TRUE(parse_qmp_event("").is_null());
    EXPECT_TRUE(parse_qmp_event("[1]").is_null());
}

} // namespace
} // namespace tapline::libvirt
