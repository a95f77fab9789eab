// What happens to devices from outside: many made at once, parents that go and come back, and
// network namespaces named in every way.
#include "tests/netns/device_lab.h"
#include "tests/netns/pump_lab.h"
#include "tests/unit/eventually.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <list>
#include <set>

namespace tapline::netns {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class SignalledCreate : public DeviceLab, public testing::WithParamInterface<std::string> {};

// The signal comes as it enters each of its netlink requests.
TEST_P(SignalledCreate, LeavesNoDeviceOrAWholeOne) {
    constexpr int requests_max = 100;
    const auto before = links();
    std::string status;
    int nth = 0;
    while (status != "0\n" && ++nth < requests_max) {
        // The search for leaks does not work under ptrace.
        status = output_of(fmt::format("ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 strace -o "
                                       "/dev/null -e inject=sendmsg:signal={}:when={} {} create "
                                       "--parent uplink --name web0 > /dev/null 2>&1; echo $?",
                                       GetParam(), nth, program_path("backend/tapline")));
        if (status != "0\n") {
            ASSERT_EQ(links(), before) << GetParam() << " at request " << nth;
            ASSERT_THAT(records(), IsEmpty());
        }
    }
    EXPECT_GT(nth, 3) << "no request was met";
    EXPECT_EQ(status, "0\n");
    EXPECT_EQ(tapline({"delete", "web0"}).status, 0);
}

INSTANTIATE_TEST_SUITE_P(Signals, SignalledCreate, testing::Values("TERM", "INT", "HUP"),
                         [](const auto& test) { return test.param; });

class AtOnce : public DeviceLab, public testing::WithParamInterface<int> {
protected:
    static std::list<Program> start(const Arguments& arguments) {
        std::list<Program> programs;
        for (int i = 0; i < GetParam(); ++i) {
            programs.emplace_back("backend/tapline", arguments);
        }
        return programs;
    }

    const size_t count_ = static_cast<size_t>(GetParam());
    nlohmann::json links_before_ = links();
};

TEST_P(AtOnce, DevicesGetNamesAndRecordsOfTheirOwn) {
    std::set<std::string> names;
    for (Program& program : start({"create", "--parent", "uplink"})) {
        EXPECT_EQ(program.wait(), 0) << program.errors();
        names.insert(program.output());
    }
    EXPECT_THAT(names, SizeIs(count_));
    EXPECT_THAT(records(), SizeIs(count_));
    EXPECT_THAT(listed(), SizeIs(count_));
    Arguments all = {"delete"};
    for (const std::string& name : names) {
        all.push_back(name.substr(0, name.size() - 1));
    }
    EXPECT_EQ(tapline(all).status, 0);
    EXPECT_EQ(links(), links_before_);
    EXPECT_THAT(records(), IsEmpty());
}

TEST_P(AtOnce, OneGetsANameAndTheOthersAreRefused) {
    int made = 0;
    for (Program& program : start({"create", "--parent", "uplink", "--name", "web0"})) {
        const int status = program.wait();
        const Outcome outcome{status, program.output(), program.errors()};
        if (status == 0) {
            ++made;
        } else {
            expect_refusal(outcome, "web0");
        }
    }
    EXPECT_EQ(made, 1);
    EXPECT_THAT(records(), SizeIs(1));
    EXPECT_EQ(tapline({"delete", "web0"}).status, 0);
    EXPECT_EQ(links(), links_before_);
}

TEST_P(AtOnce, OneDeletesADeviceAndTheOthersLoseNothing) {
    create("web0");
    create("web1");
    for (Program& program : start({"delete", "web0"})) {
        const int status = program.wait();
        EXPECT_TRUE(status == 0 || program.errors().find("web0") != std::string::npos);
    }
    EXPECT_THAT(records(), SizeIs(1));
    EXPECT_FALSE(link("web1").is_null());
}

INSTANTIATE_TEST_SUITE_P(Numbers, AtOnce, testing::Values(2, 20),
                         testing::PrintToStringParamName());

// The kernel tells the ends of a wire later that it has carrier, and drops frames until then.
bool has_carrier() {
    return eventually(
        [] { return output_of("ip -br link | awk '$1 != \"lo\" && $2 != \"UP\"'").empty(); });
}

class PumpOnParent : public testing::Test {
protected:
    PumpLab lab_;
    fakes::Guest guest_ = lab_.connect();
};

TEST_F(PumpOnParent, GoesOnWhenTheParentComesBack) {
    expect_frames_pass(lab_.station(), guest_);
    run("ip link set uplink down && ip link set uplink up");
    ASSERT_TRUE(has_carrier());
    expect_frames_pass(lab_.station(), guest_);
    (void)lab_.end();
}

TEST_F(PumpOnParent, GoesOnWhenTheParentHasAnotherName) {
    run("ip link set uplink down && ip link set uplink name wire0 && ip link set wire0 up");
    ASSERT_TRUE(has_carrier());
    EXPECT_EQ(listed()[0].at("parent"), "wire0");
    expect_frames_pass(lab_.station(), guest_);
    (void)lab_.end();
    run("ip link set wire0 name uplink");
    EXPECT_THAT(listed(), IsEmpty());
}

TEST_F(PumpOnParent, GoesOnWhenTheParentShallJoinABridge) {
    run("ip link add bridge0 type bridge");
    EXPECT_NE(output_of("ip link set uplink master bridge0 2>&1"), "") << "the kernel lets it";
    run("ip link delete bridge0");
    expect_frames_pass(lab_.station(), guest_);
    (void)lab_.end();
}

TEST_F(PumpOnParent, EndsWithAnErrorWhenTheParentIsUnregistered) {
    run("ip link delete uplink");
    EXPECT_EQ(lab_.pump().wait(), 1);
    EXPECT_THAT(lab_.pump().errors(), HasSubstr("the device was deleted"));
    EXPECT_THAT(listed(), IsEmpty());
    EXPECT_THAT(records(), IsEmpty());
    run("ip link add uplink type veth peer name peer0");
}

class Life : public DeviceLab {};

TEST_F(Life, OfAKeptDeviceEndsWithItsParent) {
    create("web0");
    run("ip link delete uplink && ip link add uplink type veth peer name peer0");
    EXPECT_THAT(listed(), IsEmpty());
    expect_refusal(tapline({"delete", "web0"}), "web0");
    EXPECT_EQ(tapline({"reconcile"}).output, "a device on 'uplink': forgotten: it is gone\n");
    EXPECT_THAT(records(), IsEmpty());
}

// A process that is in it, and ends with us.
class Resident {
public:
    Resident() { program_.next_line(); }
    std::string pid() const { return std::to_string(program_.pid()); }

private:
    Program program_{"/usr/bin/nsenter",
                     {"--net=/run/netns/other", "sh", "-c", "echo ready; exec tail -f /dev/null"}};
};

class InNamespace : public DeviceLab, public testing::WithParamInterface<const char*> {
protected:
    std::string text() const {
        return GetParam() == std::string("PID") ? resident_.pid() : GetParam();
    }

    OtherNamespace other_;
    Resident resident_;
};

TEST_P(InNamespace, EveryVerbFindsItsDevices) {
    const auto before = links();
    const Outcome created =
        tapline({"create", "--netns", text(), "--parent", "uplink", "--name", "web0"});
    ASSERT_EQ(created.status, 0) << created.errors;
    EXPECT_TRUE(other_.has("web0"));
    EXPECT_THAT(listed(), IsEmpty());
    EXPECT_THAT(tapline({"list", "--netns", text()}).output, HasSubstr("web0"));
    EXPECT_EQ(
        tapline({"exec", "--netns", text(), "--device", "web0", "--", "echo", "{ifname}"}).output,
        "web0\n");
    EXPECT_EQ(tapline({"exec", "--netns", text(), "--parent", "uplink", "--", "true"}).status, 0);
    Program pump("iouring/tapline-pump", {"--socket-path", test_socket(), "--netns", text(),
                                          "--parent", "uplink", "--name", "web1", "--json-status"});
    pump.wait_for("listening");
    EXPECT_TRUE(other_.has("web1"));
    pump.signal(SIGTERM);
    EXPECT_EQ(pump.wait(), 0) << pump.errors();
    EXPECT_EQ(tapline({"delete", "--netns", text(), "web0"}).status, 0);
    EXPECT_FALSE(other_.has("web0"));
    EXPECT_THAT(records(), IsEmpty());
    EXPECT_EQ(links(), before);
}

INSTANTIATE_TEST_SUITE_P(Ways, InNamespace, testing::Values("other", "/run/netns/other", "PID"),
                         [](const auto& test) {
                             return test.index == 0   ? "ByName"
                                    : test.index == 1 ? "ByPath"
                                                      : "ByProcess";
                         });

struct Wrong {
    std::string name;
    std::string text;
    std::string cause;
    friend void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }
};

class WrongNamespace : public DeviceLab, public testing::WithParamInterface<Wrong> {
protected:
    WrongNamespace() { run("rm -f /run/fifo && mkfifo /run/fifo"); }
};

TEST_P(WrongNamespace, IsRefusedByEveryVerb) {
    const auto before = links();
    const std::string text = GetParam().text;
    const Outcome outcomes[] = {
        tapline({"create", "--netns", text, "--parent", "uplink"}),
        tapline({"delete", "--netns", text, "web0"}), tapline({"list", "--netns", text}),
        tapline({"exec", "--netns", text, "--parent", "uplink", "--", "true"}),
        outcome_of("iouring/tapline-pump",
                   {"--socket-path", test_socket(), "--netns", text, "--parent", "uplink"})};
    for (const Outcome& outcome : outcomes) {
        expect_refusal(outcome, GetParam().cause);
        EXPECT_THAT(outcome.errors, HasSubstr(fmt::format("'{}'", text)));
    }
    EXPECT_EQ(links(), before);
    EXPECT_THAT(records(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Ways, WrongNamespace,
    testing::Values(Wrong{"NameMissing", "nosuch", "No such file or directory"},
                    Wrong{"PathMissing", "/run/nosuch", "No such file or directory"},
                    Wrong{"ProcessMissing", "4194999", "No such file or directory"},
                    Wrong{"NumberTooLarge", "99999999999999999999", "No such file or directory"},
                    Wrong{"Empty", "", "no network namespace"},
                    Wrong{"File", "/etc/passwd", "no network namespace"},
                    Wrong{"Folder", "/run", "no network namespace"},
                    Wrong{"Fifo", "/run/fifo", "no network namespace"},
                    Wrong{"OtherKind", "/proc/self/ns/mnt", "no network namespace"}),
    [](const auto& test) { return test.param.name; });

// Of the same name and index, so that /sys as it is mounted shows the wrong one.
TEST_F(Life, OfADeviceWhoseNamespaceSysDoesNotShowHasTheRightQueue) {
    const OtherNamespace other;
    const int index = 500000 + getpid();
    const std::string add =
        fmt::format("link add link uplink name web0 index {} type macvtap", index);
    run("ip " + add);
    run("ip -n other " + add);
    const std::string node = fmt::format("cat /sys/class/net/web0/macvtap/tap{}/dev", index);
    const std::string theirs = other.output_of(node);
    ASSERT_NE(theirs, output_of(node));
    const Outcome outcome =
        outcome_of("/usr/bin/nsenter",
                   {"--net=/run/netns/other", program_path("backend/tapline"), "exec", "--device",
                    "web0", "--", "sh", "-c", "stat -L -c '%Hr:%Lr' /proc/self/fd/{fds}"});
    EXPECT_EQ(outcome.output, theirs) << outcome.errors;
}

} // namespace
} // namespace tapline::netns
