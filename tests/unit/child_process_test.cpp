#include "backend/child_process.h"

#include "backend/base/error.h"
#include "backend/base/signals_held_back.h"
#include "tests/unit/open_fds.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <csignal>

namespace tapline {
namespace {

ChildProcess shell(const std::string& script, std::vector<int> fds = {}) {
    return ChildProcess::start(
        {.arguments = {"sh", "-c", script}, .fds = std::move(fds), .account = nullptr});
}

std::string refusal(const Command& command) {
    try {
        ChildProcess::start(command).wait();
    } catch (const Error& error) {
        return error.what();
    }
    return "it was started";
}

TEST(ChildProcess, HasTheExitCodeOfItsCommand) {
    EXPECT_EQ(shell("exit 0").wait(), 0);
    EXPECT_EQ(shell("exit 7").wait(), 7);
    EXPECT_EQ(shell("exit 255").wait(), 255);
}

TEST(ChildProcess, ThatASignalEndedHasItsNumberAnd128) {
    EXPECT_EQ(shell("kill -KILL $$").wait(), 128 + SIGKILL);
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd reader(ends[0]);
    const UniqueFd writer(ends[1]); // Nothing is written: the child waits.
    ChildProcess child = shell("read -r line <&" + std::to_string(reader.get()), {reader.get()});
    child.signal(SIGTERM);
    EXPECT_EQ(child.wait(), 128 + SIGTERM);
}

TEST(ChildProcess, IsReadableOnceItHasEnded) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd reader(ends[0]);
    UniqueFd writer(ends[1]);
    ChildProcess child = shell("read -r line <&" + std::to_string(reader.get()), {reader.get()});
    pollfd watched{.fd = child.fd(), .events = POLLIN};
    EXPECT_EQ(poll(&watched, 1, 0), 0) << "it waits for a line";
    writer.reset();
    EXPECT_EQ(poll(&watched, 1, 10000), 1);
    EXPECT_EQ(child.wait(), 1) << "there was no line";
}

TEST(ChildProcess, InheritsTheDescriptorsItIsGivenAndNoOthers) {
    const UniqueFd given(open("/dev/null", O_RDWR | O_CLOEXEC));
    const UniqueFd other(open("/dev/null", O_RDWR)); // Not even this one.
    ASSERT_TRUE(given && other);
    const auto has = [](const UniqueFd& fd) {
        return "test -e /proc/self/fd/" + std::to_string(fd.get());
    };
    EXPECT_EQ(shell(has(given), {given.get()}).wait(), 0);
    EXPECT_EQ(shell(has(given)).wait(), 1);
    EXPECT_EQ(shell(has(other), {given.get()}).wait(), 1);
    EXPECT_NE(fcntl(given.get(), F_GETFD) & FD_CLOEXEC, 0) << "ours is as it was";
}

TEST(ChildProcess, DiesOfABrokenPipeAlsoWhereWeDoNot) {
    const auto before = std::signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(shell("kill -PIPE $$").wait(), 128 + SIGPIPE);
    (void)std::signal(SIGPIPE, before);
}

TEST(ChildProcess, CanBeEndedAlsoWhereSignalsAreHeldBack) {
    const SignalsHeldBack held_back;
    EXPECT_EQ(shell("kill -TERM $$").wait(), 128 + SIGTERM);
}

TEST(ChildProcess, ThatCannotBeExecutedIsAnErrorAndLeavesNoDescriptor) {
    const size_t before = open_fds();
    EXPECT_EQ(refusal({.arguments = {"no-such-program"}, .fds = {}, .account = nullptr}),
              "run 'no-such-program': execute it: No such file or directory (it is not in PATH)");
    EXPECT_EQ(refusal({.arguments = {"/etc/passwd"}, .fds = {}, .account = nullptr}),
              "run '/etc/passwd': execute it: Permission denied");
    EXPECT_EQ(open_fds(), before);
}

TEST(ChildProcess, CannotInheritADescriptorThatIsNotOpen) {
    EXPECT_EQ(refusal({.arguments = {"true"}, .fds = {1 << 20}, .account = nullptr}),
              "run 'true': hand over descriptors: Bad file descriptor");
}

} // namespace
} // namespace tapline
