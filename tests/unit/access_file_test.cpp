#include "backend/access_file.h"
#include "backend/base/error.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace tapline {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

using Files = std::map<std::string, std::string>;

constexpr uid_t root = 0;
constexpr uid_t daemon_user = 1;
constexpr gid_t daemon_group = 1;
constexpr uid_t somebody = 4711;

AccessRules rules_of(const Files& files) {
    return read_access_file("/a/access.conf", [&](const std::string& path) {
        const auto found = files.find(path);
        if (found == files.end()) {
            throw Error({.operation = "read " + path, .cause = "not there"});
        }
        return found->second;
    });
}

AccessRules rules_of(const std::string& text) {
    return rules_of(Files{{"/a/access.conf", text}});
}

std::string refusal_of(const Files& files) {
    try {
        rules_of(files);
    } catch (const Error& error) {
        return error.what();
    }
    return "none";
}

AccessRequest request(uid_t user = root, const std::string& parent = "eth0",
                      MacvlanMode mode = MacvlanMode::bridge, std::vector<gid_t> groups = {}) {
    return {.user = user, .groups = std::move(groups), .parent = parent, .mode = mode};
}

TEST(AccessRules, DenyWhatNoRuleAllows) {
    EXPECT_FALSE(rules_of("").allows(request()));
    EXPECT_FALSE(rules_of("# allow all all all\n").allows(request()));
    EXPECT_EQ(rules_of("allow daemon all all\n").deciding_rule(request()), nullptr);
}

TEST(AccessRules, AllowOneUser) {
    const AccessRules rules = rules_of("allow daemon eth0 bridge\n");
    EXPECT_TRUE(rules.allows(request(daemon_user)));
    EXPECT_FALSE(rules.allows(request(root)));
}

TEST(AccessRules, AllowTheMembersOfAGroup) {
    const AccessRules rules = rules_of("allow @daemon all all\n");
    EXPECT_TRUE(rules.allows(request(somebody, "eth0", MacvlanMode::bridge, {7, daemon_group})));
    EXPECT_FALSE(rules.allows(request(somebody, "eth0", MacvlanMode::bridge, {7, 8})));
    EXPECT_FALSE(rules.allows(request(somebody)));
    EXPECT_FALSE(rules.allows(request(daemon_group))) << "a user is no group of that number";
}

TEST(AccessRules, AllowOneParent) {
    const AccessRules rules = rules_of("allow all eth0 all\n");
    EXPECT_TRUE(rules.allows(request(somebody, "eth0")));
    EXPECT_FALSE(rules.allows(request(somebody, "eth01")));
    EXPECT_FALSE(rules.allows(request(somebody, "eth")));
}

TEST(AccessRules, AllowSomeModes) {
    const AccessRules rules = rules_of("allow all all vepa,private\n");
    EXPECT_TRUE(rules.allows(request(root, "eth0", MacvlanMode::vepa)));
    EXPECT_TRUE(rules.allows(request(root, "eth0", MacvlanMode::private_mode)));
    EXPECT_FALSE(rules.allows(request(root, "eth0", MacvlanMode::bridge)));
    EXPECT_FALSE(rules.allows(request(root, "eth0", MacvlanMode::passthru)));
}

TEST(AccessRules, AllowEveryModeByItsName) {
    const AccessRules listed = rules_of("allow all all bridge,vepa,private,passthru,source\n");
    const AccessRules all = rules_of("allow all all all\n");
    for (const auto mode : {MacvlanMode::bridge, MacvlanMode::vepa, MacvlanMode::private_mode,
                            MacvlanMode::passthru, MacvlanMode::source}) {
        EXPECT_TRUE(listed.allows(request(root, "eth0", mode))) << to_text(mode);
        EXPECT_TRUE(all.allows(request(root, "eth0", mode))) << to_text(mode);
    }
}

TEST(AccessRules, LetADenialWinInAnyOrder) {
    for (const char* text :
         {"deny daemon all all\nallow all all all\n", "allow all all all\ndeny daemon all all\n"}) {
        const AccessRules rules = rules_of(text);
        EXPECT_FALSE(rules.allows(request(daemon_user)));
        EXPECT_TRUE(rules.allows(request(root)));
    }
}

TEST(AccessRules, NameTheRuleThatDecided) {
    const AccessRules rules = rules_of("allow root all all\n\n  deny\tall  eth1 all # no\n");
    ASSERT_NE(rules.deciding_rule(request()), nullptr);
    EXPECT_EQ(rules.deciding_rule(request())->place, "/a/access.conf:1");
    EXPECT_EQ(rules.deciding_rule(request(root, "eth1"))->place, "/a/access.conf:3");
}

TEST(AccessFile, NeedsNoNewlineAtItsEnd) {
    EXPECT_TRUE(rules_of("allow all all all").allows(request()));
    EXPECT_TRUE(rules_of("allow all all all # to the end").allows(request()));
}

TEST(AccessFile, IncludesBesideItselfAndElsewhere) {
    const Files files = {{"/a/access.conf", "include more\ninclude /b/other\ninclude ../c/./x\n"},
                         {"/a/more", "allow root all all\n"},
                         {"/b/other", "include next\n"},
                         {"/b/next", "allow daemon all all\n"},
                         {"/c/x", "\ndeny all eth1 all\n"}};
    const AccessRules rules = rules_of(files);
    EXPECT_TRUE(rules.allows(request(root)));
    EXPECT_TRUE(rules.allows(request(daemon_user)));
    EXPECT_EQ(rules.deciding_rule(request(root, "eth1"))->place, "/c/x:2");
}

TEST(AccessFile, MayIncludeAFileTwice) {
    EXPECT_TRUE(rules_of(Files{{"/a/access.conf", "include more\ninclude more\n"},
                               {"/a/more", "allow all all all\n"}})
                    .allows(request()));
}

TEST(AccessFile, TellsWhereAnIncludedFileIsWrong) {
    EXPECT_THAT(refusal_of({{"/a/access.conf", "include more\n"}, {"/a/more", "\nallow\n"}}),
                StartsWith("read /a/more:2:6: "));
    EXPECT_THAT(refusal_of({{"/a/access.conf", "\n include more\n"}}),
                StartsWith("read /a/access.conf:2:10: read /a/more: not there"));
}

TEST(AccessFile, RefusesCyclesOfIncludes) {
    EXPECT_THAT(refusal_of({{"/a/access.conf", "include ../a/./access.conf\n"}}),
                StartsWith("read /a/access.conf:1:9: /a/access.conf includes itself"));
    EXPECT_THAT(refusal_of({{"/a/access.conf", "include b\n"}, {"/a/b", "include access.conf\n"}}),
                StartsWith("read /a/b:1:9: /a/access.conf includes itself"));
}

// Each file includes the next one; the last allows everything.
Files chain(int includes) {
    Files files = {{"/a/access.conf", "include 1\n"}};
    for (int i = 1; i < includes; ++i) {
        files[fmt::format("/a/{}", i)] = fmt::format("include {}\n", i + 1);
    }
    files[fmt::format("/a/{}", includes)] = "allow all all all\n";
    return files;
}

TEST(AccessFile, IncludesEightDeepAndNoDeeper) {
    EXPECT_TRUE(rules_of(chain(8)).allows(request()));
    EXPECT_THAT(refusal_of(chain(9)), StartsWith("read /a/8:1:9: files include each other"));
}

TEST(AccessFile, IncludesNoMoreThan63Others) {
    std::string text;
    for (int i = 0; i < 63; ++i) {
        text += "include more\n";
    }
    EXPECT_EQ(refusal_of({{"/a/access.conf", text}, {"/a/more", ""}}), "none");
    EXPECT_THAT(refusal_of({{"/a/access.conf", text + "include more\n"}, {"/a/more", ""}}),
                StartsWith("read /a/access.conf:64:9: more than 64 files"));
}

struct Wrong {
    std::string name;
    std::string text;
    std::string place; // LINE:COLUMN
    std::string cause;
    friend void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }
};

class WrongAccessFile : public testing::TestWithParam<Wrong> {};

TEST_P(WrongAccessFile, IsRefusedWithItsPlace) {
    const std::string refusal = refusal_of({{"/a/access.conf", GetParam().text}});
    EXPECT_THAT(refusal, StartsWith("read /a/access.conf:" + GetParam().place + ": "));
    EXPECT_THAT(refusal, HasSubstr(GetParam().cause));
    EXPECT_EQ(refusal.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Lines, WrongAccessFile,
    testing::Values(
        Wrong{"UnknownWord", "# rules\n\n  permit all all all\n", "3:3", "'permit' is no rule"},
        Wrong{"WordInCapitals", "Allow all all all\n", "1:1", "'Allow' is no rule"},
        Wrong{"NoUser", "allow\n", "1:6", "ends too early"},
        Wrong{"NoParent", "allow all\n", "1:10", "ends too early"},
        Wrong{"NoModes", "allow all all  # bridge\n", "1:14", "ends too early"},
        Wrong{"TooMuch", "allow all all bridge vepa\n", "1:22", "'vepa' is too much"},
        Wrong{"UnknownUser", "allow nosuchuser all all\n", "1:7", "no user 'nosuchuser'"},
        Wrong{"UserNumber", "allow 0 all all\n", "1:7", "no user '0'"},
        Wrong{"UnknownGroup", "deny @nosuchgroup all all\n", "1:6", "no group 'nosuchgroup'"},
        Wrong{"GroupWithoutName", "allow @ all all\n", "1:7", "no group ''"},
        Wrong{"ParentTooLong", "allow all abcdefghijklmnop all\n", "1:11", "1 to 15 characters"},
        Wrong{"ParentWithSlash", "allow all eth/0 all\n", "1:11", "'/'"},
        Wrong{"UnknownMode", "allow all all sideways\n", "1:15", "no mode 'sideways'"},
        Wrong{"UnknownSecondMode", "allow all all bridge,Vepa\n", "1:22", "no mode 'Vepa'"},
        Wrong{"AllAmongModes", "allow all all bridge,all\n", "1:22", "no mode 'all'"},
        Wrong{"EmptyMode", "allow all all bridge,,vepa\n", "1:22", "no mode ''"},
        Wrong{"CommaAtTheEnd", "allow all all bridge,\n", "1:22", "no mode ''"},
        Wrong{"BlankInModes", "allow all all bridge, vepa\n", "1:23", "too much"},
        Wrong{"IncludeWithoutFile", "include\n", "1:8", "ends too early"},
        Wrong{"IncludeOfTwo", "include a b\n", "1:11", "'b' is too much"},
        Wrong{"CarriageReturn", "allow all all all\r\n", "1:18", "control character"},
        Wrong{"NulByte", std::string("allow all\0 all all\n", 19), "1:10", "control character"},
        Wrong{"ControlInComment", "# \x1b[2J\n", "1:3", "control character"},
        Wrong{"LastLine", "allow all all all\nallow", "2:6", "ends too early"}),
    [](const auto& test) { return test.param.name; });

} // namespace
} // namespace tapline
