#include "backend/base/error.h"

#include "backend/base/command_line.h"
#include "backend/base/program.h"
#include "backend/base/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <string>

namespace tapline {
namespace {

TEST(Error, SentenceNamesOperationAndCause) {
    const Error error({.operation = "open /dev/tap7", .cause = "it is gone"});
    EXPECT_STREQ(error.what(), "open /dev/tap7: it is gone");
    EXPECT_EQ(error.code(), 0);
}

TEST(Error, NextStepFollowsInParentheses) {
    const Error error({.operation = "open /dev/tap7",
                       .cause = "it is gone",
                       .next_step = "make it again",
                       .code = ENXIO});
    EXPECT_STREQ(error.what(), "open /dev/tap7: it is gone (make it again)");
    EXPECT_EQ(error.code(), ENXIO);
}

TEST(Error, ErrnoBecomesCauseAndCode) {
    errno = EACCES;
    const Error error = Error::from_errno("open /dev/tap7", "run as root");
    EXPECT_STREQ(error.what(), "open /dev/tap7: Permission denied (run as root)");
    EXPECT_EQ(error.code(), EACCES);
}

TEST(Error, AGivenCodeGoesBeforeErrno) {
    errno = EACCES;
    const Error error = Error::from_errno("set up io_uring", "", ENOSYS);
    EXPECT_STREQ(error.what(), "set up io_uring: Function not implemented");
    EXPECT_EQ(error.code(), ENOSYS);
}

// Each in a process of its own, which is what a program is.
class ProgramDeathTest : public testing::Test {
protected:
    static void run(const std::function<int()>& body) { std::exit(run_program("tester", body)); }
};

TEST_F(ProgramDeathTest, ExitCodeIsWhatTheBodyReturns) {
    EXPECT_EXIT(run([] { return 0; }), testing::ExitedWithCode(0), "");
    EXPECT_EXIT(run([] { return 3; }), testing::ExitedWithCode(3), "");
}

TEST_F(ProgramDeathTest, ExceptionIsToldAndExitsWithOne) {
    const auto body = []() -> int {
        throw Error({.operation = "open /dev/tap7", .cause = "it is gone"});
    };
    EXPECT_EXIT(run(body), testing::ExitedWithCode(1), "^tester: open /dev/tap7: it is gone\n$");
}

TEST_F(ProgramDeathTest, UsageErrorIsToldAndExitsWithTwo) {
    const auto body = []() -> int { throw UsageError("no such verb"); };
    EXPECT_EXIT(run(body), testing::ExitedWithCode(2), "^tester: no such verb\n$");
}

TEST_F(ProgramDeathTest, HelpThatNobodyCanBeToldExitsWithOne) {
    const auto body = [] {
        const UniqueFd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
        dup2(full.get(), STDOUT_FILENO);
        CommandLine("", "Does something.").parse({"tester", "--help"});
        return 0;
    };
    EXPECT_EXIT(run(body), testing::ExitedWithCode(1),
                "^tester: write to standard output: No space left on device\n$");
}

TEST_F(ProgramDeathTest, VersionStandsAlone) {
    EXPECT_FALSE(tell_version("tester", {"tester"}));
    EXPECT_FALSE(tell_version("tester", {"tester", "verb", "--version"}));
    EXPECT_EXIT(run([] {
                    return tell_version("tester", {"tester", "--version"}) ? 0 : 1;
                }),
                testing::ExitedWithCode(0), "");
    EXPECT_EXIT(run([] {
                    return tell_version("tester", {"tester", "--version", "x"}) ? 0 : 1;
                }),
                testing::ExitedWithCode(2), "^tester: --version stands alone: leave out 'x'\n$");
}

} // namespace
} // namespace tapline
