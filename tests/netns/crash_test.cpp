// Every program that makes or deletes a device, killed before and after each of its system calls
// that change something: one `tapline reconcile` later nothing is left that should not be.
#include "tests/netns/device_lab.h"
#include "tests/netns/helper_lab.h"
#include "tests/netns/killer.h"
#include "tests/unit/eventually.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <set>

namespace tapline::netns {
namespace {

namespace fs = std::filesystem;

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
constexpr auto device = "crash0";

void expect_nothing_left(const Fate& fate, const nlohmann::json& links_before) {
    EXPECT_EQ(links(), links_before);
    EXPECT_THAT(records(), IsEmpty());
    for (const auto& entry : fs::directory_iterator("/dev")) {
        EXPECT_FALSE(
            entry.path().filename().string().starts_with(fmt::format(".tapline-{}-", fate.pid)));
    }
}

// A sanitizer makes programs start slowly; after a call is the same as before the next one.
const bool sanitized = programs_are_of("asan") || programs_are_of("tsan");

// All network namespaces share /dev: where another one has a node of the same index, the helper is
// right to refuse, and the next device has another index.
Fate kill_with_a_free_node(const Victim& victim, const std::function<void()>& before, int call,
                           Moment moment) {
    constexpr int attempts_max = 200;
    Fate fate{};
    for (int i = 0; i < attempts_max; ++i) {
        before();
        fate = kill_at(victim, call, moment);
        if (fate.errors.find("CAP_MKNOD") == std::string::npos) {
            break;
        }
    }
    return fate;
}

// Kills it at each call, with a look at what came of it. The calls it was killed at.
std::set<std::string> sweep(const Victim& victim, const std::function<void()>& before,
                            const std::function<void(const Fate&)>& look) {
    std::set<std::string> calls;
    for (const Moment moment : {Moment::before, Moment::after}) {
        bool more = moment == Moment::before || !sanitized;
        for (int call = 1; more && !testing::Test::HasFailure(); ++call) {
            const Fate fate = kill_with_a_free_node(victim, before, call, moment);
            const testing::ScopedTrace trace(
                __FILE__, __LINE__,
                fmt::format("killed {} call {}: {}", moment == Moment::before ? "before" : "after",
                            call, fate.call));
            EXPECT_EQ(fate.status, 0) << fate.errors;
            look(fate);
            calls.insert(fate.call);
            more = fate.killed;
        }
    }
    return calls;
}

const std::function<void()> nothing = [] {};

// What reconcile did, for a test to see that it had something to do.
class Mended {
public:
    void reconcile() {
        const Outcome outcome = tapline({"reconcile"});
        EXPECT_EQ(outcome.status, 0);
        EXPECT_EQ(outcome.errors, "");
        told_ += outcome.output;
    }
    const std::string& told() const { return told_; }

private:
    std::string told_;
};

constexpr auto removed = "crash0: removed";
constexpr auto forgotten = "a device on 'uplink': forgotten";

class Crashes : public DeviceLab {
protected:
    Mended mended_;

    nlohmann::json links_before_ = links();
};

TEST_F(Crashes, OfCreateLeaveADeviceThatIsRecordedOrNone) {
    bool kept_by_a_victim = false;
    // Each time with the folder to make, too.
    const auto calls = sweep(
        {.path = "backend/tapline",
         .arguments = {"create", "--parent", "uplink", "--name", device}},
        [] { fs::remove_all("/run/tapline"); },
        [&](const Fate& fate) {
            mended_.reconcile();
            if (!link(device).is_null()) {
                kept_by_a_victim |= fate.killed;
                EXPECT_THAT(records(), ElementsAre(EndsWith(".kept")));
                const Outcome deleted = tapline({"delete", device});
                EXPECT_EQ(deleted.status, 0) << deleted.errors;
            }
            expect_nothing_left(fate, links_before_);
        });
    EXPECT_THAT(calls,
                IsSupersetOf({"mkdir", "openat", "flock", "linkat", "sendmsg", "rename", "write"}));
    EXPECT_THAT(mended_.told(), AllOf(HasSubstr(removed), HasSubstr(forgotten)));
    EXPECT_TRUE(kept_by_a_victim) << "it was never killed after the last step";
}

TEST_F(Crashes, OfDeleteLeaveTheDeviceWithItsRecordOrNeither) {
    const auto calls = sweep(
        {.path = "backend/tapline", .arguments = {"delete", device}},
        [] {
            ASSERT_EQ(tapline({"create", "--parent", "uplink", "--name", device}).status, 0);
        },
        [&](const Fate& fate) {
            mended_.reconcile();
            if (!link(device).is_null()) {
                EXPECT_THAT(records(), ElementsAre(EndsWith(".kept")));
                EXPECT_EQ(tapline({"delete", device}).status, 0);
            }
            expect_nothing_left(fate, links_before_);
        });
    EXPECT_THAT(calls, IsSupersetOf({"sendmsg", "unlink"}));
    EXPECT_THAT(mended_.told(), HasSubstr(forgotten));
}

TEST_F(Crashes, OfExecLeaveNothing) {
    const auto calls = sweep({.path = "backend/tapline",
                              .arguments = {"exec", "--parent", "uplink", "--name", device,
                                            "--queues", "2", "--", "true"}},
                             nothing, [&](const Fate& fate) {
                                 mended_.reconcile();
                                 expect_nothing_left(fate, links_before_);
                             });
    EXPECT_THAT(calls, IsSupersetOf({"clone", "fsopen", "ioctl", "linkat", "sendmsg", "unlink"}));
    EXPECT_THAT(mended_.told(), AllOf(HasSubstr(removed), HasSubstr(forgotten)));
}

// Neither may it mount, nor has it the device's node: it makes one in /dev.
TEST_F(Crashes, OfExecThatMakesANodeLeaveNothing) {
    run("mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3");
    const auto calls =
        sweep({.path = "/usr/bin/setpriv",
               .arguments = {"--bounding-set=-sys_admin", program_path("backend/tapline"), "exec",
                             "--parent", "uplink", "--name", device, "--", "true"}},
              nothing, [&](const Fate& fate) {
                  mended_.reconcile();
                  expect_nothing_left(fate, links_before_);
              });
    run("umount /dev");
    EXPECT_THAT(calls, IsSupersetOf({"mknodat", "unlinkat"}));
    EXPECT_THAT(mended_.told(), HasSubstr("/dev/.tapline-"));
}

// Each start finds the socket that the one before left.
TEST_F(Crashes, OfThePumpLeaveNothingButASocketThatTheNextOneReplaces) {
    const auto calls = sweep({.path = "iouring/tapline-pump",
                              .arguments = {"--socket-path", test_socket(), "--parent", "uplink",
                                            "--name", device, "--json-status"},
                              .when_waiting = [](pid_t pump) { kill(pump, SIGTERM); }},
                             nothing, [&](const Fate& fate) {
                                 mended_.reconcile();
                                 expect_nothing_left(fate, links_before_);
                             });
    EXPECT_THAT(calls, IsSupersetOf({"bind", "ioctl", "linkat", "sendmsg", "unlink"}));
    EXPECT_THAT(mended_.told(), AllOf(HasSubstr(removed), HasSubstr(forgotten)));
    EXPECT_FALSE(fs::exists(test_socket()));
}

class HelperCrashes : public HelperLab, public testing::WithParamInterface<Victim::Process> {
protected:
    Mended mended_;
    nlohmann::json links_before_ = links();
};

TEST_P(HelperCrashes, LeaveNothingOnceItsQemuHasEnded) {
    std::optional<AskingProcess> qemu;
    Victim victim{.path = with_capabilities(), .user = alice, .counted = GetParam()};
    victim.when_waiting = [&](pid_t) { qemu->end(); };
    const auto calls = sweep(
        victim,
        [&] {
            qemu.emplace();
            const int fd = qemu->helpers_end().get();
            victim.fds = {fd};
            victim.arguments = {"--parent", "uplink", "--use-vnet", fmt::format("--fd={}", fd)};
        },
        [&](const Fate& fate) {
            qemu->end();
            EXPECT_TRUE(eventually([] { return watchers().empty(); }));
            mended_.reconcile();
            expect_nothing_left(fate, links_before_);
        });
    EXPECT_THAT(calls, IsSupersetOf({"sendmsg"}));
    EXPECT_THAT(mended_.told(), HasSubstr("tl0: removed"));
}

INSTANTIATE_TEST_SUITE_P(Processes, HelperCrashes,
                         testing::Values(Victim::Process::first, Victim::Process::forked),
                         [](const auto& test) {
                             return test.param == Victim::Process::first ? "TheOneThatMakesIt"
                                                                         : "TheOneThatWatches";
                         });

} // namespace
} // namespace tapline::netns
