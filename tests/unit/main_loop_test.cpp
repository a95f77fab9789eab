#include "backend/base/main_loop.h"

#include "backend/base/error.h"
#include "backend/base/unique_fd.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <csignal>

namespace tapline {
namespace {

// An eventfd that is readable from the start and stays so.
UniqueFd ready_fd() {
    return UniqueFd(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
}

TEST(MainLoop, ReadableDescriptorCallsUntilQuit) {
    MainLoop loop;
    const UniqueFd fd = ready_fd();
    int calls = 0;
    const auto source = loop.on_readable(fd.get(), [&] {
        if (++calls == 3) {
            loop.quit();
        }
    });
    loop.run();
    EXPECT_EQ(calls, 3);
}

TEST(MainLoop, PeerThatClosesCalls) {
    MainLoop loop;
    std::array<int, 2> ends{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    const UniqueFd ours(ends[0]);
    UniqueFd(ends[1]).reset();
    bool called = false;
    const auto source = loop.on_readable(ours.get(), [&] {
        called = true;
        loop.quit();
    });
    loop.run();
    EXPECT_TRUE(called);
}

TEST(MainLoop, SignalCalls) {
    MainLoop loop;
    bool called = false;
    const auto source = loop.on_signal(SIGUSR1, [&] {
        called = true;
        loop.quit();
    });
    ASSERT_EQ(raise(SIGUSR1), 0);
    loop.run();
    EXPECT_TRUE(called);
}

TEST(MainLoop, TimePassingCallsAgainAndAgain) {
    MainLoop loop;
    int calls = 0;
    const auto source = loop.every(std::chrono::milliseconds(1), [&] {
        if (++calls == 3) {
            loop.quit();
        }
    });
    loop.run();
    EXPECT_EQ(calls, 3);
}

TEST(MainLoop, ExceptionOfACallbackComesOutOfRun) {
    MainLoop loop;
    const UniqueFd fd = ready_fd();
    const auto source = loop.on_readable(
        fd.get(), [] { throw Error({.operation = "look at the device", .cause = "it is gone"}); });
    try {
        loop.run();
        FAIL() << "the exception was lost";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "look at the device: it is gone");
    }
}

TEST(MainLoop, RunsAgainAfterAnException) {
    MainLoop loop;
    const UniqueFd fd = ready_fd();
    int calls = 0;
    const auto source = loop.on_readable(fd.get(), [&] {
        if (++calls == 1) {
            throw UsageError("once");
        }
        loop.quit();
    });
    EXPECT_THROW(loop.run(), UsageError);
    loop.run();
    EXPECT_EQ(calls, 2);
}

TEST(MainLoop, SourceMayRemoveItselfAndStillUseWhatItHolds) {
    MainLoop loop;
    const UniqueFd first = ready_fd();
    const UniqueFd second = ready_fd();
    int calls = 0;
    MainLoop::Source removed;
    MainLoop::Source last;
    removed = loop.on_readable(first.get(), [&, held = std::string(64, 'x')] {
        removed.reset();
        ++calls;
        EXPECT_EQ(held.size(), 64u); // Freed with the source it would be garbage.
        last = loop.on_readable(second.get(), [&] { loop.quit(); });
    });
    loop.run();
    EXPECT_EQ(calls, 1);
}

TEST(MainLoop, RemovedSourceIsNotCalled) {
    MainLoop loop;
    const UniqueFd fd = ready_fd();
    bool called = false;
    auto removed = loop.on_readable(fd.get(), [&] { called = true; });
    const auto other = loop.on_readable(fd.get(), [&] { loop.quit(); });
    removed.reset();
    loop.run();
    EXPECT_FALSE(called);
}

} // namespace
} // namespace tapline
