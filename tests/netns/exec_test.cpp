// `tapline exec`: what the command gets and gets not, whose it is, and what becomes of its end.
#include "tests/fakes/front_end.h"
#include "tests/netns/device_lab.h"
#include "tests/unit/eventually.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <sstream>

namespace tapline::netns {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::UnorderedElementsAreArray;

class Exec : public DeviceLab {
protected:
    static Arguments arguments(const Arguments& options, const Arguments& command) {
        Arguments all = {"exec"};
        all.insert(all.end(), options.begin(), options.end());
        all.emplace_back("--");
        all.insert(all.end(), command.begin(), command.end());
        return all;
    }

    static Outcome exec(const Arguments& command, const Arguments& more = {},
                        const std::vector<int>& fds = {}) {
        Arguments options = {"--parent", "uplink"};
        options.insert(options.end(), more.begin(), more.end());
        return outcome_of("backend/tapline", arguments(options, command), fds);
    }

    void expect_nothing_left() {
        EXPECT_EQ(links(), links_before_);
        EXPECT_THAT(records(), IsEmpty());
    }

    nlohmann::json links_before_ = links();
};

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
        lines.push_back(line);
    }
    return lines;
}

TEST_F(Exec, GivesTheCommandAQueueAndDeletesTheDeviceWithItsEnd) {
    const Outcome outcome =
        exec({"sh", "-c", "ip -o link show web0; test -c /proc/self/fd/{fds}"}, {"--name", "web0"});
    EXPECT_EQ(outcome.status, 0) << outcome.errors;
    EXPECT_THAT(outcome.output, HasSubstr("web0@uplink"));
    EXPECT_EQ(outcome.errors, "");
    expect_nothing_left();
}

TEST_F(Exec, HasTheExitCodeOfItsCommand) {
    EXPECT_EQ(exec({"true"}).status, 0);
    EXPECT_EQ(exec({"sh", "-c", "exit 7"}).status, 7);
    EXPECT_EQ(exec({"sh", "-c", "exit 255"}).status, 255);
    EXPECT_EQ(exec({"sh", "-c", "kill -TERM $$"}).status, 128 + SIGTERM);
    EXPECT_EQ(exec({"sh", "-c", "kill -KILL $$"}).status, 128 + SIGKILL);
    expect_nothing_left();
}

class ExecSignals : public Exec, public testing::WithParamInterface<int> {};

TEST_P(ExecSignals, ArePassedOnToTheCommand) {
    Program program(
        "backend/tapline",
        arguments({"--parent", "uplink"},
                  {"sh", "-c", "trap 'exit 9' TERM HUP; echo ready; while :; do :; done"}));
    EXPECT_EQ(program.next_line(), "ready");
    program.signal(GetParam());
    EXPECT_EQ(program.wait(), 9) << program.errors();
    expect_nothing_left();
}

TEST_P(ExecSignals, EndACommandThatDoesNotCatchThem) {
    Program program(
        "backend/tapline",
        arguments({"--parent", "uplink"}, {"sh", "-c", "echo ready; exec tail -f /dev/null"}));
    EXPECT_EQ(program.next_line(), "ready");
    program.signal(GetParam());
    EXPECT_EQ(program.wait(), 128 + GetParam()) << program.errors();
    expect_nothing_left();
}

INSTANTIATE_TEST_SUITE_P(Signals, ExecSignals, testing::Values(SIGTERM, SIGHUP),
                         [](const auto& test) {
                             return test.param == SIGTERM ? "Terminate" : "HangUp";
                         });

TEST_F(Exec, ReplacesPlaceholdersOnceAndNothingElse) {
    const Outcome outcome =
        exec({"echo", "{fds}", "{vhostfds}|{ifname}", "{mac}{mac}", "{{ifname}}", "{other}", "{"},
             {"--name", "web0", "--queues", "2", "--mac", "52:54:00:00:00:09"});
    EXPECT_THAT(outcome.output,
                MatchesRegex("[0-9]+:[0-9]+ \\|web0 52:54:00:00:00:0952:54:00:00:00:09 \\{web0\\} "
                             "\\{other\\} \\{\n"));
}

// Where its caller left descriptors open, and standard ones closed.
TEST_F(Exec, LetsTheCommandInheritItsQueuesAndNothingElse) {
    const UniqueFd leaked(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
    const UniqueFd high(fcntl(leaked.get(), F_DUPFD_CLOEXEC, 500));
    // The shell reads the folder with a descriptor that is closed when it looks again.
    const Outcome outcome = exec({"sh", "-c",
                                  "echo {fds}; for each in /proc/$$/fd/*; do"
                                  " [ ! -e $each ] || echo ${each##*/}; done"},
                                 {"--queues", "3"}, {leaked.get(), high.get()});
    auto lines = lines_of(outcome.output);
    ASSERT_FALSE(lines.empty()) << outcome.errors;
    std::string promised = lines.front();
    std::ranges::replace(promised, ':', '\n');
    lines.erase(lines.begin());
    auto expected = lines_of("0\n1\n2\n" + promised);
    ASSERT_EQ(expected.size(), 6u);
    EXPECT_THAT(lines, UnorderedElementsAreArray(expected));
}

TEST_F(Exec, GivesQueuesNumbersThatNoStandardDescriptorHas) {
    run(fmt::format("{} exec --parent uplink -- sh -c 'echo {{fds}} > /run/fds' <&- >&- 2>&-",
                    program_path("backend/tapline")));
    EXPECT_THAT(output_of("cat /run/fds"), MatchesRegex("([3-9]|[1-9][0-9]+)\n"));
}

TEST_F(Exec, RunsTheCommandAsTheUserWithHisGroupsAndNoPrivileges) {
    const Outcome outcome =
        exec({"sh", "-c", "id -u; id -g; id -G; grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status"},
             {"--user", "daemon"});
    EXPECT_EQ(outcome.status, 0) << outcome.errors;
    const std::string ids = output_of("id -u daemon; id -g daemon; id -G daemon");
    EXPECT_TRUE(outcome.output.starts_with(ids)) << outcome.output;
    EXPECT_THAT(lines_of(outcome.output.substr(ids.size())),
                ElementsAre("CapInh:\t0000000000000000", "CapPrm:\t0000000000000000",
                            "CapEff:\t0000000000000000", "CapAmb:\t0000000000000000"));
    EXPECT_EQ(exec({"id", "-u"}, {"--user", "1"}).output, "1\n");
    expect_nothing_left();
}

struct Refusal {
    std::string name;
    Arguments options;
    Arguments command;
    std::string subject;
    int status = 1;
    friend void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.name; }
};

class ExecRefusals : public Exec, public testing::WithParamInterface<Refusal> {};

TEST_P(ExecRefusals, TellWhyInOneSentenceAndLeaveNothing) {
    const Outcome outcome = tapline(arguments(GetParam().options, GetParam().command));
    expect_refusal(outcome, GetParam().subject, GetParam().status);
    expect_nothing_left();
}

const Arguments on_uplink = {"--parent", "uplink"};
const Arguments no_arguments = {};

INSTANTIATE_TEST_SUITE_P(
    Refusals, ExecRefusals,
    testing::Values(
        Refusal{"CommandNotInPath", on_uplink, {"nosuchcommand"}, "it is not in PATH"},
        Refusal{
            "CommandNotThere", on_uplink, {"/no/such"}, "run '/no/such': execute it: No such file"},
        Refusal{
            "CommandIsAFolder", on_uplink, {"/etc"}, "run '/etc': execute it: Permission denied"},
        Refusal{"CommandIsNoProgram", on_uplink, {"/etc/passwd"}, "run '/etc/passwd'"},
        Refusal{"CommandEmpty", on_uplink, {""}, "run ''"},
        Refusal{"UserUnknown", {"--parent", "uplink", "--user", "nosuch"}, {"true"}, "'nosuch'"},
        Refusal{"UserEmpty", {"--parent", "uplink", "--user", ""}, {"true"}, "user ''"},
        Refusal{"ParentMissing", {"--parent", "nosuch0"}, {"true"}, "nosuch0"},
        Refusal{"DeviceMissing", {"--device", "nosuch0"}, {"true"}, "nosuch0"},
        Refusal{"DeviceIsNoMacvtap", {"--device", "peer0"}, {"true"}, "peer0"},
        Refusal{"DeviceWithoutQueues", {"--device", "peer0", "--queues", "0"}, {"true"}, "'0'"},
        Refusal{"NoDevice", {}, {"true"}, "--parent", 2},
        Refusal{"TwoDevices", {"--parent", "uplink", "--device", "x"}, {"true"}, "--device", 2},
        Refusal{"DeviceMadeAgain", {"--device", "x", "--mode", "vepa"}, {"true"}, "--parent", 2},
        Refusal{"NoCommand", on_uplink, no_arguments, "COMMAND", 2}),
    [](const auto& test) { return test.param.name; });

TEST_F(Exec, WithVhostIsRefusedWhereThereIsNone) {
    run("mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3");
    const Outcome outcome = exec({"true"}, {"--vhost"});
    run("umount /dev");
    expect_refusal(outcome, "open /dev/vhost-net");
    expect_nothing_left();
}

TEST_F(Exec, UsesAnExistingDeviceAndLeavesIt) {
    create("web0");
    const auto before = links();
    const Outcome outcome =
        tapline(arguments({"--device", "web0", "--queues", "2"}, {"echo", "{ifname}", "{fds}"}));
    EXPECT_THAT(outcome.output, MatchesRegex("web0 [0-9]+:[0-9]+\n"));
    EXPECT_EQ(links(), before);
    EXPECT_EQ(records().size(), 1u);
    expect_refusal(tapline(arguments({"--device", "web0"}, {"nosuchcommand"})), "nosuchcommand");
    EXPECT_EQ(links(), before);
}

// What it said on stderr must be seen while it runs.
class ExecLoss : public Exec, public testing::WithParamInterface<std::string> {
protected:
    static bool said(const std::string& text) {
        return eventually([&] {
            std::ifstream file("/run/errors");
            const std::string all(std::istreambuf_iterator<char>(file), {});
            return all.find(text) != std::string::npos;
        });
    }

    Program program_{"/bin/sh",
                     {"-c", fmt::format("rm -f /run/go; mkfifo /run/go; exec {} exec --parent "
                                        "uplink --name web0 -- sh -c 'echo "
                                        "ready; read line < /run/go; exit 7' 2> /run/errors",
                                        program_path("backend/tapline"))}};
};

TEST_P(ExecLoss, OfItsDeviceIsToldAndTheCommandGoesOn) {
    EXPECT_EQ(program_.next_line(), "ready");
    run(GetParam());
    ASSERT_TRUE(said("web0"));
    run("echo go > /run/go");
    EXPECT_EQ(program_.wait(), 7);
    EXPECT_THAT(records(), IsEmpty());
    EXPECT_EQ(lines_of(output_of("cat /run/errors")).size(), 1u);
    run("ip link show uplink > /dev/null 2>&1 || "
        "ip link add uplink type veth peer name peer0");
}

INSTANTIATE_TEST_SUITE_P(Ways, ExecLoss,
                         testing::Values("ip link delete web0", "ip link delete uplink"),
                         [](const auto& test) {
                             return test.index == 0 ? "Deleted" : "ParentUnregistered";
                         });

TEST_F(Exec, DeletesItsDeviceUnderAnotherName) {
    Program program("backend/tapline",
                    arguments({"--parent", "uplink", "--name", "web0"},
                              {"sh", "-c", "echo ready; exec tail -f /dev/null"}));
    EXPECT_EQ(program.next_line(), "ready");
    run("ip link set web0 down && ip link set web0 name other0 && ip link set other0 up");
    EXPECT_EQ(listed()[0].at("device"), "other0");
    program.signal(SIGTERM);
    EXPECT_EQ(program.wait(), 128 + SIGTERM);
    EXPECT_EQ(program.errors(), "");
    expect_nothing_left();
}

} // namespace
} // namespace tapline::netns
