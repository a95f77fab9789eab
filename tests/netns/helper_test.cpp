// tapline-helper as QEMU runs it for a user without rights: what he gets, what he is refused, and
// that the device goes when its user does.
#include "tests/netns/frames.h"
#include "tests/netns/helper_lab.h"
#include "tests/unit/eventually.h"

#include "config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>

namespace tapline::netns {
namespace {

using testing::HasSubstr;
using Arguments = std::vector<std::string>;

const Arguments on_uplink = {"--parent", "uplink"};

class Helper : public HelperLab {
protected:
    ~Helper() override {
        asking_.end();
        EXPECT_TRUE(eventually([] { return watchers().empty(); }));
    }

    void expect_refusal(const Outcome& outcome, const std::string& subject, int status = 1) {
        EXPECT_EQ(outcome.status, status);
        EXPECT_EQ(outcome.output, "");
        EXPECT_THAT(outcome.errors, HasSubstr(subject));
        EXPECT_EQ(outcome.errors.find('\n'), outcome.errors.size() - 1) << outcome.errors;
        EXPECT_TRUE(link("tl0").is_null());
        EXPECT_EQ(asking_.receive().bytes, 0u);
        EXPECT_TRUE(watchers().empty());
    }
};

bool is_gone(const std::string& name) {
    return eventually([&] { return link(name).is_null(); });
}

std::string status_line(pid_t pid, const std::string& key) {
    std::ifstream status(fmt::format("/proc/{}/status", pid));
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with(key + ":")) {
            return line.substr(line.find_first_not_of("\t ", key.size() + 1));
        }
    }
    return {};
}

class InstalledHelper : public Helper, public testing::WithParamInterface<bool> {
protected:
    static std::string program() { return GetParam() ? with_setuid() : with_capabilities(); }
};

TEST_P(InstalledHelper, SendsOneByteWithOneQueueOfANewDevice) {
    const Outcome outcome = ask(on_uplink, alice, program());
    ASSERT_EQ(outcome.status, 0) << outcome.errors;
    EXPECT_EQ(outcome.output, "");
    EXPECT_EQ(outcome.errors, "");
    const auto received = asking_.receive();
    EXPECT_EQ(received.bytes, 1u);
    ASSERT_EQ(received.fds.size(), 1u);
    ifreq queue{};
    ASSERT_EQ(ioctl(received.fds[0].get(), TUNGETIFF, &queue), 0);
    EXPECT_STREQ(queue.ifr_name, "tl0");
    EXPECT_TRUE(queue.ifr_flags & IFF_VNET_HDR);
    const auto device = link("tl0");
    EXPECT_EQ(device.at("link"), "uplink");
    EXPECT_EQ(device.at("linkinfo").at("info_data").at("mode"), "bridge");
}

TEST_P(InstalledHelper, DeletesTheDeviceWhenTheAskingProcessEnds) {
    ASSERT_EQ(ask(on_uplink, alice, program()).status, 0);
    const auto received = asking_.receive(); // An open queue keeps no device.
    ASSERT_FALSE(link("tl0").is_null());
    asking_.end();
    EXPECT_TRUE(is_gone("tl0"));
}

TEST_P(InstalledHelper, WatchesAsTheUserWithNoCapabilityInEffect) {
    ASSERT_EQ(ask(on_uplink, alice, program()).status, 0);
    ASSERT_TRUE(eventually([] {
        const auto running = watchers();
        return running.size() == 1 && status_line(running[0], "CapEff") == "0000000000000000";
    }));
    const pid_t watcher = watchers().at(0);
    EXPECT_EQ(status_line(watcher, "Uid"), "54321\t54321\t54321\t54321");
    EXPECT_EQ(status_line(watcher, "Gid"), "54321\t54321\t54321\t54321");
    EXPECT_EQ(status_line(watcher, "CapPrm"), "0000000000001002"); // NET_ADMIN, DAC_OVERRIDE
    EXPECT_EQ(status_line(watcher, "CapInh"), "0000000000000000");
    EXPECT_EQ(status_line(watcher, "NoNewPrivs"), "1");
    struct stat process {};
    ASSERT_EQ(stat(fmt::format("/proc/{}/mem", watcher).c_str(), &process), 0);
    EXPECT_EQ(process.st_uid, 0u) << "the user could read its memory";
}

TEST_P(InstalledHelper, RefusesAUserWhomNoRuleAllows) {
    const Outcome outcome = ask(on_uplink, bob, program());
    expect_refusal(outcome, "bob");
    EXPECT_THAT(outcome.errors, HasSubstr("allow bob uplink bridge"));
    EXPECT_THAT(outcome.errors, HasSubstr(access_file()));
}

INSTANTIATE_TEST_SUITE_P(Rights, InstalledHelper, testing::Bool(), [](const auto& test) {
    return test.param ? "WithSetuid" : "WithFileCapabilities";
});

TEST_F(Helper, CarriesFramesOverTheQueueItSent) {
    ASSERT_EQ(ask({"--parent", "uplink", "--mac", "52:54:00:00:00:01"}).status, 0);
    const auto received = asking_.receive();
    ASSERT_EQ(received.fds.size(), 1u);
    Station peer("peer0");
    const std::vector<std::byte> frame(12 + 64, std::byte{0}); // Behind a header of 12 bytes.
    ASSERT_EQ(write(received.fds[0].get(), frame.data(), frame.size()),
              static_cast<ssize_t>(frame.size()));
    const auto arrived = peer.receive(std::chrono::seconds(5));
    ASSERT_TRUE(arrived);
    EXPECT_EQ(arrived->size(), Station::header_bytes + 64);
}

TEST_F(Helper, TakesTheBridgeOfQemuForTheParent) {
    const Outcome outcome = ask({"--br=uplink"});
    ASSERT_EQ(outcome.status, 0) << outcome.errors;
    EXPECT_EQ(link("tl0").at("link"), "uplink");
}

// QEMU adds --br=br0 to every helper that is a command line.
TEST_F(Helper, PrefersTheParentToTheBridge) {
    const Outcome outcome = ask({"--parent", "uplink", "--br=br0"});
    ASSERT_EQ(outcome.status, 0) << outcome.errors;
    EXPECT_EQ(link("tl0").at("link"), "uplink");
}

TEST_F(Helper, MakesTheDeviceAsItsOptionsSay) {
    write_access_file("allow alice uplink vepa\n");
    const Outcome outcome =
        ask({"--parent", "uplink", "--mode", "vepa", "--name", "web0", "--mac", "52:54:00:aa:bb:cc",
             "--mtu", "1400", "--queue-length", "2000", "--queues", "1"});
    ASSERT_EQ(outcome.status, 0) << outcome.errors;
    const auto device = link("web0");
    EXPECT_EQ(device.at("linkinfo").at("info_data").at("mode"), "vepa");
    EXPECT_EQ(device.at("address"), "52:54:00:aa:bb:cc");
    EXPECT_EQ(device.at("mtu"), 1400);
    EXPECT_EQ(device.at("txqlen"), 2000);
}

TEST_F(Helper, HasTheRightsForAMulticastFilter) {
    const Outcome outcome = ask({"--parent", "uplink", "--multicast", "none"});
    ASSERT_EQ(outcome.status, 0) << outcome.errors;
    EXPECT_NE(output_of("tc filter show dev tl0 ingress"), "");
}

TEST_F(Helper, DeletesTheDeviceWhenItsWatcherIsToldToEnd) {
    ASSERT_EQ(ask(on_uplink).status, 0);
    const auto running = watchers();
    ASSERT_EQ(running.size(), 1u);
    kill(running[0], SIGTERM);
    EXPECT_TRUE(is_gone("tl0"));
    EXPECT_TRUE(eventually([] { return watchers().empty(); }));
}

TEST_F(Helper, IsListedAsTheOwnerByTheNumberOfItsWatcher) {
    ASSERT_EQ(ask({"--parent", "uplink"}).status, 0);
    const auto listed =
        nlohmann::json::parse(outcome_of("backend/tapline", {"list", "--json"}).output);
    const nlohmann::json owner{
        {"state", "owned"}, {"program", "tapline-helper"}, {"pid", watchers().at(0)}};
    EXPECT_EQ(listed.at(0).at("owner"), owner);
}

TEST_F(Helper, StopsWatchingWhenTheDeviceIsGone) {
    ASSERT_EQ(ask(on_uplink).status, 0);
    ASSERT_EQ(watchers().size(), 1u);
    run("ip link delete tl0");
    EXPECT_TRUE(eventually([] { return watchers().empty(); }));
}

TEST_F(Helper, KeepsTheDeviceWhileOtherLinksComeAndGo) {
    ASSERT_EQ(ask(on_uplink).status, 0);
    run("ip link add other0 type veth peer name other1 && ip link delete other0");
    run("ip link set tl0 down && ip link set tl0 name web0");
    EXPECT_FALSE(link("web0").is_null());
    EXPECT_EQ(watchers().size(), 1u);
    asking_.end();
    EXPECT_TRUE(is_gone("web0"));
}

TEST_F(Helper, GivesEachAskingProcessADeviceOfItsOwn) {
    ASSERT_EQ(ask(on_uplink).status, 0);
    AskingProcess other;
    std::swap(other.our_end(), asking_.our_end());
    std::swap(other.helpers_end(), asking_.helpers_end());
    ASSERT_EQ(ask(on_uplink).status, 0);
    EXPECT_FALSE(link("tl1").is_null());
    other.end(); // Whose socket the second helper was given.
    EXPECT_TRUE(is_gone("tl1"));
    EXPECT_FALSE(link("tl0").is_null());
}

// GLib would log each of its debug messages, and look for its settings there.
TEST_F(Helper, TakesNothingFromTheEnvironment) {
    setenv("G_MESSAGES_DEBUG", "all", 1);
    setenv("G_DEBUG", "fatal-criticals", 1);
    setenv("TAPLINE_EXEC_PATH", "/run/evil", 1);
    const Outcome refused = ask(on_uplink, bob);
    const Outcome outcome = ask(on_uplink);
    unsetenv("G_MESSAGES_DEBUG");
    unsetenv("G_DEBUG");
    unsetenv("TAPLINE_EXEC_PATH");
    EXPECT_EQ(refused.status, 1);
    EXPECT_EQ(outcome.status, 0) << outcome.errors;
    EXPECT_EQ(outcome.errors, "");
}

TEST_F(Helper, LeavesNothingOpenThatItsCallerHadOpened) {
    const UniqueFd file(open("/etc/passwd", O_RDONLY)); // Inherited: not close-on-exec.
    ASSERT_EQ(ask(on_uplink).status, 0);
    const auto running = watchers();
    ASSERT_EQ(running.size(), 1u);
    // It has left its caller by now, or soon.
    EXPECT_TRUE(eventually([&] {
        for (const auto& fd :
             std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", running[0]))) {
            std::error_code gone;
            const std::string target = std::filesystem::read_symlink(fd.path(), gone);
            if (target == "/etc/passwd" || target.starts_with("pipe:") ||
                target.starts_with("/dev/tap")) {
                return false;
            }
        }
        return true;
    }));
}

TEST_F(Helper, GivesADeviceToAGroup) {
    write_access_file("allow @vm uplink all\n");
    expect_refusal(ask(on_uplink, bob), "bob");
    EXPECT_EQ(ask(on_uplink).status, 0) << "the group is a second one, which the process gave up";
}

TEST_F(Helper, GivesADeviceToAPrimaryGroup) {
    write_access_file("allow @bob uplink all\n");
    EXPECT_EQ(ask(on_uplink, bob).status, 0);
}

TEST_F(Helper, NamesTheRuleThatDenies) {
    write_access_file("allow all all all\n\ndeny @vm uplink bridge\n");
    expect_refusal(ask(on_uplink), access_file() + ":3");
}

TEST_F(Helper, RefusesAModeAndAParentThatNoRuleAllows) {
    expect_refusal(ask({"--parent", "uplink", "--mode", "passthru"}), "mode passthru");
    expect_refusal(ask({"--parent", "peer0"}), "'peer0'");
}

TEST_F(Helper, BringsNoParentUp) {
    run("ip link set uplink down");
    expect_refusal(ask(on_uplink), "ip link set uplink up");
    EXPECT_THAT(link("uplink").at("flags").get<std::vector<std::string>>(),
                testing::Not(testing::Contains("UP")));
}

// The kernel would take either for the interface that is denied.
TEST_F(Helper, RefusesOtherNamesOfAParentThatIsDenied) {
    write_access_file("allow all all all\ndeny all uplink all\n");
    expect_refusal(ask(on_uplink), access_file() + ":2");
    run("ip link property add dev uplink altname second0");
    expect_refusal(ask({"--parent", "second0"}), "use 'uplink'");
    run("ip link add link uplink name other0 type macvtap mode bridge");
    expect_refusal(ask({"--parent", "other0"}), "a macvtap on another interface");
}

TEST_F(Helper, RefusesEveryoneWithoutAnAccessFile) {
    std::filesystem::remove(access_file());
    expect_refusal(ask(on_uplink), access_file());
    expect_refusal(ask(on_uplink, 0), access_file());
}

TEST_F(Helper, ReadsIncludedFiles) {
    write_access_file("include more/alice.conf\n");
    std::filesystem::create_directory(TAPLINE_SYSCONF "/more");
    std::ofstream(TAPLINE_SYSCONF "/more/alice.conf") << "allow alice uplink bridge\n";
    const Outcome outcome = ask(on_uplink);
    EXPECT_EQ(outcome.status, 0) << outcome.errors;
}

struct Distrust {
    std::string name;
    std::string command; // Run in the folder of the access file.
    std::string cause;
    friend void PrintTo(const Distrust& distrust, std::ostream* out) { *out << distrust.name; }
};

class UntrustedAccessFile : public Helper, public testing::WithParamInterface<Distrust> {};

TEST_P(UntrustedAccessFile, IsRefusedAsAWhole) {
    run(fmt::format("cd {} && {}", TAPLINE_SYSCONF, GetParam().command));
    const Outcome outcome = ask(on_uplink);
    expect_refusal(outcome, GetParam().cause);
    EXPECT_THAT(outcome.errors, HasSubstr(TAPLINE_SYSCONF));
}

INSTANTIATE_TEST_SUITE_P(
    Files, UntrustedAccessFile,
    testing::Values(
        Distrust{"WritableByItsGroup", "chmod 620 access.conf", "can be written by others"},
        Distrust{"WritableByOthers", "chmod 602 access.conf", "can be written by others"},
        Distrust{"OfAnotherUser", "chown alice access.conf", "does not belong to root"},
        Distrust{"InAWritableFolder", "chmod 777 .", "can be written by others"},
        Distrust{"InAStickyFolder", "chmod 1777 .", "can be written by others"},
        Distrust{"InAFolderOfAnotherUser", "chown alice .", "does not belong to root"},
        Distrust{"SymbolicLink", "mv access.conf rules && ln -s rules access.conf",
                 "symbolic links are not followed"},
        Distrust{"BehindASymbolicLink", "cd .. && mv tapline other && ln -s other tapline",
                 "symbolic links are not followed"},
        Distrust{"Folder", "rm access.conf && mkdir access.conf", "not a regular file"},
        Distrust{"Fifo", "rm access.conf && mkfifo -m 600 access.conf", "not a regular file"},
        Distrust{"Device", "rm access.conf && mknod -m 600 access.conf c 1 3",
                 "not a regular file"},
        Distrust{"TooLong", "yes '# nothing' | head -c 65537 > access.conf", "longer than 65536"},
        Distrust{"IncludesAWritableFile",
                 "echo 'include more' >> access.conf && touch more && chmod 666 more",
                 "access.conf:2:9"},
        Distrust{"IncludesAFileInAWritableFolder",
                 "echo 'include d/more' >> access.conf && mkdir -m 777 d && touch d/more",
                 "access.conf:2:9"},
        Distrust{"IncludesAFileThatIsMissing", "echo 'include more' >> access.conf",
                 "access.conf:2:9"},
        Distrust{"Nonsense", "echo 'permit all' >> access.conf", "access.conf:2:1"}),
    [](const auto& test) { return test.param.name; });

TEST_F(Helper, WithoutRightsTellsHowToGiveThem) {
    expect_refusal(ask(on_uplink, alice, with_nothing()),
                   "setcap cap_net_admin,cap_dac_override+ep");
}

TEST_F(Helper, LeavesNoDeviceWhereTheAskingProcessHungUp) {
    ASSERT_EQ(shutdown(asking_.our_end().get(), SHUT_RDWR), 0); // As if nobody had it open.
    expect_refusal(ask(on_uplink), "send the tap queue");
}

TEST_F(Helper, LeavesNoDeviceWhereNoWatcherCanBeStarted) {
    write_access_file("allow all uplink bridge\n");
    const std::string fd = std::to_string(asking_.helpers_end().get());
    // A user who has no other process, not even one that ends at this moment.
    const Outcome outcome = with_a_free_node([&] {
        return outcome_of("/usr/bin/prlimit",
                          {"--nproc=1", "setpriv", "--reuid=54323", "--regid=54323",
                           "--clear-groups",
                           // The search for leaks starts a thread.
                           "env", "ASAN_OPTIONS=detect_leaks=0", with_capabilities(), "--parent",
                           "uplink", "--use-vnet", "--fd", fd},
                          {asking_.helpers_end().get()});
    });
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.errors, HasSubstr("start a watcher"));
    EXPECT_TRUE(link("tl0").is_null());
}

TEST_F(Helper, ServesAUserWhomTheUserDatabaseDoesNotKnow) {
    constexpr uid_t nobodys = 54399;
    expect_refusal(ask(on_uplink, nobodys), "54399");
    write_access_file("allow all uplink bridge\n");
    EXPECT_EQ(ask(on_uplink, nobodys).status, 0);
}

TEST_F(Helper, RefusesAProcessThatHasEnded) {
    asking_.end();
    expect_refusal(ask(on_uplink), "which asks for a device");
}

TEST_F(Helper, RefusesADescriptorThatIsNoConnectedUnixSocket) {
    const auto refused = [&](UniqueFd fd, const std::string& cause) {
        const std::string number = std::to_string(fd.get());
        const Outcome outcome =
            run_as(alice, with_capabilities(), {"--parent", "uplink", "--use-vnet", "--fd", number},
                   fd.get());
        expect_refusal(outcome, "descriptor " + number);
        EXPECT_THAT(outcome.errors, HasSubstr(cause));
    };
    refused(UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC)), "non-socket");
    refused(UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), "no Unix socket");
    refused(UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), "not connected");
}

struct Misuse {
    std::string name;
    Arguments arguments; // Of a helper that is given no descriptor.
    int status;
    std::string subject;
    friend void PrintTo(const Misuse& misuse, std::ostream* out) { *out << misuse.name; }
};

class HelperMisuse : public Helper, public testing::WithParamInterface<Misuse> {};

TEST_P(HelperMisuse, IsToldInOneSentence) {
    expect_refusal(run_as(alice, with_capabilities(), GetParam().arguments, -1), GetParam().subject,
                   GetParam().status);
}

Misuse of_fd(const std::string& name, const std::string& number) {
    return {name, {"--parent", "uplink", "--use-vnet", "--fd", number}, 1, number};
}

Misuse of_interface(const std::string& name, const std::string& option, const std::string& value,
                    int status, const std::string& subject) {
    return {
        name, {"--parent", "uplink", "--use-vnet", "--fd", "9", option, value}, status, subject};
}

INSTANTIATE_TEST_SUITE_P(
    Usage, HelperMisuse,
    testing::Values(of_fd("FdOfStandardInput", "0"), of_fd("FdOfStandardError", "2"),
                    of_fd("FdClosed", "77"), of_fd("FdNegative", "-1"),
                    of_fd("FdNoNumber", "three"), of_fd("FdOverAll", "2147483648"),
                    of_fd("FdOfTheLargestNumber", "2147483647"),
                    Misuse{"NoFd", {"--parent", "uplink", "--use-vnet"}, 2, "--fd"},
                    Misuse{"NoHeader", {"--parent", "uplink", "--fd", "9"}, 2, "--use-vnet"},
                    Misuse{"KindThatRulesDoNotKnow",
                           {"--parent", "uplink", "--kind", "ipvtap", "--use-vnet", "--fd", "9"},
                           2,
                           "--kind"},
                    Misuse{"NoParent", {"--use-vnet", "--fd", "9"}, 2, "--parent"},
                    Misuse{"UnknownOption", {"--bogus"}, 2, "--bogus"},
                    Misuse{"StrayArgument", {"uplink"}, 2, "uplink"},
                    of_interface("SeveralQueues", "--queues", "2", 2, "--queues"),
                    of_interface("Owner", "--owner", "alice", 2, "--owner"),
                    of_interface("ModeUnknown", "--mode", "sideways", 1, "sideways"),
                    of_interface("NameOfLibvirt", "--name", "vnet0", 1, "vnet0")),
    [](const auto& test) { return test.param.name; });

TEST_F(Helper, LeavesNoDeviceThatTheKernelRefuses) {
    write_access_file("allow all all all\n");
    expect_refusal(ask({"--parent", "nosuch0"}), "nosuch0");
    expect_refusal(ask({"--parent", "lo"}), "'lo'");
    expect_refusal(ask({"--parent", "uplink", "--mtu", "1501"}), "1501");
}

} // namespace
} // namespace tapline::netns
