#include "backend/base/command_line.h"

#include "backend/base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace tapline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CommandLineTest : public testing::Test {
protected:
    CommandLineTest() {
        command_line_.flag("json", "Print JSON", json_);
        command_line_.value("mtu", "BYTES", "Its MTU", mtu_);
        command_line_.list("allow", "MAC", "Repeatable", allow_);
    }

    std::vector<std::string> parse(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), "program");
        return command_line_.parse(arguments);
    }

    bool json_ = false;
    std::optional<std::string> mtu_;
    std::vector<std::string> allow_;
    CommandLine command_line_{"NAME", "Does something."};
};

TEST_F(CommandLineTest, WhatIsNotGivenStaysAsItIs) {
    EXPECT_THAT(parse({}), IsEmpty());
    EXPECT_FALSE(json_);
    EXPECT_EQ(mtu_, std::nullopt);
    EXPECT_THAT(allow_, IsEmpty());
}

TEST_F(CommandLineTest, OptionsReachTheirTargets) {
    EXPECT_THAT(parse({"--json", "--mtu", "1500", "--allow=a", "--allow", "b"}), IsEmpty());
    EXPECT_TRUE(json_);
    EXPECT_EQ(mtu_, "1500");
    EXPECT_THAT(allow_, ElementsAre("a", "b"));
}

TEST_F(CommandLineTest, TheLastOfOneValueCounts) {
    parse({"--mtu=1500", "--mtu=9000"});
    EXPECT_EQ(mtu_, "9000");
}

TEST_F(CommandLineTest, OtherArgumentsComeBackInOrder) {
    EXPECT_THAT(parse({"one", "--json", "two"}), ElementsAre("one", "two"));
}

TEST_F(CommandLineTest, BehindTwoDashesNothingIsAnOption) {
    parse({"--", "--json"});
    EXPECT_FALSE(json_);
}

TEST_F(CommandLineTest, AnEmptyValueIsAValue) {
    parse({"--mtu="});
    EXPECT_EQ(mtu_, "");
}

TEST_F(CommandLineTest, UnknownOptionIsAUsageError) {
    try {
        parse({"--unknown"});
        FAIL() << "the option was taken";
    } catch (const UsageError& error) {
        EXPECT_THAT(error.what(), HasSubstr("--unknown (see --help)"));
    }
}

TEST_F(CommandLineTest, MissingValueIsAUsageError) {
    EXPECT_THROW(parse({"--mtu"}), UsageError);
}

TEST_F(CommandLineTest, FlagTakesNoValue) {
    EXPECT_THROW(parse({"--json=yes"}), UsageError);
}

using CommandLineDeathTest = CommandLineTest;

TEST_F(CommandLineDeathTest, HelpPrintsAndExitsWithZero) {
    EXPECT_EXIT(parse({"--help"}), testing::ExitedWithCode(0), "");
}

} // namespace
} // namespace tapline
