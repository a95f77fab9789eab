// `tapline doctor` as a user runs it: what it finds on a real kernel, how it tells it, exit codes.
#include "backend/base/unique_fd.h"
#include "tests/netns/lab.h"
#include "tests/netns/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace tapline::netns {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;
using Arguments = std::vector<std::string>;

constexpr auto domain_file = "/run/web1.xml";

class Doctor : public testing::Test {
protected:
    Doctor() { setenv("TAPLINE_EXEC_PATH", program_path("xml").c_str(), 1); }

    static Outcome doctor(Arguments arguments) {
        arguments.insert(arguments.begin(), "doctor");
        return outcome_of("backend/tapline", arguments);
    }

    // The exit code tells what "overall" does, whatever this host is like.
    static nlohmann::json findings(Arguments arguments) {
        arguments.emplace_back("--json");
        const Outcome outcome = doctor(arguments);
        EXPECT_EQ(outcome.errors, "");
        auto all = nlohmann::json::parse(outcome.output);
        const std::map<std::string, int> codes{{"ok", 0}, {"limited", 1}, {"broken", 2}};
        EXPECT_EQ(outcome.status, codes.at(all.at("overall")));
        return all;
    }

    static nlohmann::json check(const nlohmann::json& all, const std::string& name) {
        const auto& checks = all.at("checks");
        const auto found =
            std::ranges::find_if(checks, [&](const auto& each) { return each["check"] == name; });
        return found == checks.end() ? throw std::out_of_range(name) : *found;
    }

    static nlohmann::json check_of_parent(const std::string& parent, const std::string& name) {
        return check(findings({"--parent", parent}), name + " " + parent);
    }

    static std::string write_domain(const std::string& devices) {
        std::ofstream(domain_file) << "<domain>\n<name>web1</name>\n<vcpu>2</vcpu>\n<devices>\n"
                                   << devices << "\n</devices></domain>\n";
        return domain_file;
    }

    Wire wire_;
};

// A QEMU and a libvirtd found before the real ones: shell scripts.
class ProgramsInPath {
public:
    explicit ProgramsInPath(const std::string& script) : path_(std::getenv("PATH")) {
        std::filesystem::create_directories("/run/bin");
        for (const std::string& name :
             {std::string("libvirtd"), "qemu-system-" + output_of("printf %s $(uname -m)")}) {
            const std::filesystem::path file = "/run/bin/" + name;
            std::ofstream(file) << "#!/bin/sh\n" << script << '\n';
            std::filesystem::permissions(file, std::filesystem::perms(0755));
        }
        setenv("PATH", ("/run/bin:" + path_).c_str(), 1);
    }
    ~ProgramsInPath() { setenv("PATH", path_.c_str(), 1); }
    ProgramsInPath(const ProgramsInPath&) = delete;
    ProgramsInPath& operator=(const ProgramsInPath&) = delete;

private:
    std::string path_;
};

TEST_F(Doctor, TellsEachCheckWithTheSameKeys) {
    const auto all = findings({"--parent", "uplink"});
    std::vector<std::string> names;
    for (const auto& each : all.at("checks")) {
        std::vector<std::string> keys;
        for (const auto& item : each.items()) {
            keys.push_back(item.key());
        }
        EXPECT_THAT(keys, testing::UnorderedElementsAre("check", "state", "detail", "why", "mend"));
        EXPECT_NE(each["detail"], "");
        EXPECT_EQ(each["state"] == "ok", each["mend"] == "") << each;
        EXPECT_EQ(each["state"] == "ok", each["why"] == "") << each;
        names.push_back(each["check"]);
    }
    EXPECT_THAT(names,
                testing::IsSupersetOf({"kernel", "macvtap", "macvlan", "ipvtap", "ipvlan",
                                       "vhost-net", "device-nodes", "net-admin", "records",
                                       "hugepages", "locked-memory", "io-uring", "qemu", "libvirt",
                                       "libvirt-hook", "helper", "parent uplink"}));
}

// The other tests of this suite make devices here, so they must be possible.
TEST_F(Doctor, FindsWhatTheOtherTestsNeed) {
    const auto all = findings({});
    for (const char* name : {"macvtap", "macvlan", "net-admin", "libvirt", "ipvtap"}) {
        EXPECT_EQ(check(all, name)["state"], "ok") << name;
    }
}

TEST_F(Doctor, FindsNothingWrongWithAWire) {
    const auto all = findings({"--parent", "uplink"});
    for (const auto& each : all.at("checks")) {
        const std::string name = each.at("check");
        if (name.ends_with(" uplink")) {
            EXPECT_EQ(each["state"], "ok") << each;
        }
    }
}

TEST_F(Doctor, FindsAParentThatIsDown) {
    run("ip link set uplink down");
    const auto found = check_of_parent("uplink", "parent-link");
    EXPECT_EQ(found["state"], "limited");
    EXPECT_EQ(found["mend"], "ip link set uplink up");
}

TEST_F(Doctor, FindsAParentWithoutCarrier) {
    run("ip link set peer0 down");
    const auto found = check_of_parent("uplink", "parent-link");
    EXPECT_EQ(found["state"], "limited");
    EXPECT_EQ(found["detail"], "up, without carrier");
}

TEST_F(Doctor, FindsABridgeAndItsCommandMendsIt) {
    run("ip link add br0 type bridge && ip link set uplink master br0");
    const auto found = check_of_parent("uplink", "parent-master");
    EXPECT_EQ(found["state"], "broken");
    EXPECT_EQ(found["detail"], "belongs to bridge 'br0'");
    run(found["mend"]);
    EXPECT_EQ(check_of_parent("uplink", "parent-master")["state"], "ok");
    run("ip link delete br0");
}

TEST_F(Doctor, FindsADeviceThatHasItsParentToItself) {
    ASSERT_EQ(outcome_of("backend/tapline", {"create", "--parent", "uplink", "--mode", "passthru"})
                  .status,
              0);
    const auto found = check_of_parent("uplink", "parent-passthru");
    EXPECT_EQ(found["state"], "broken");
    EXPECT_EQ(found["mend"], "tapline delete tl0");
}

TEST_F(Doctor, RefusesTheParentsThatCreateRefuses) {
    ASSERT_EQ(outcome_of("backend/tapline", {"create", "--parent", "uplink"}).status, 0);
    run("ip link add beside0 link uplink type macvlan");
    for (const std::string name : {"tl0", "beside0"}) {
        const auto found = check_of_parent(name, "parent");
        EXPECT_EQ(found["state"], "broken") << name;
        EXPECT_EQ(found["mend"], "tapline doctor --parent uplink") << name;
        EXPECT_EQ(outcome_of("backend/tapline", {"create", "--parent", name}).status, 1) << name;
    }
}

TEST_F(Doctor, KnowsAParentByItsAlternativeName) {
    ASSERT_EQ(outcome_of("backend/tapline", {"create", "--parent", "uplink", "--mode", "passthru"})
                  .status,
              0);
    run("ip link property add dev uplink altname wire0");
    const auto all = findings({"--parent", "wire0"});
    EXPECT_EQ(check(all, "parent uplink")["state"], "ok");
    EXPECT_EQ(check(all, "parent-passthru uplink")["state"], "broken");
}

TEST_F(Doctor, FindsRecordsThatOthersCanWrite) {
    run("install -d -m 755 /run/tapline/devices");
    EXPECT_EQ(check(findings({}), "records")["state"], "ok");
    run("chown 65534 /run/tapline/devices");
    const auto found = check(findings({}), "records");
    EXPECT_EQ(found["state"], "limited");
    EXPECT_EQ(outcome_of("backend/tapline", {"create", "--parent", "uplink"}).status, 1);
    const auto mend = found["mend"].get<std::string>();
    const auto commands = mend.find("chown"); // Behind what only a person can do.
    ASSERT_NE(commands, std::string::npos) << mend;
    run(mend.substr(commands));
    EXPECT_EQ(outcome_of("backend/tapline", {"create", "--parent", "uplink"}).status, 0);
}

TEST_F(Doctor, FindsWhatIsNoRecordAmongTheRecords) {
    ASSERT_EQ(outcome_of("backend/tapline", {"create", "--parent", "uplink"}).status, 0);
    for (const char* damage : {"mkdir 'a b'", "touch 40000001.kept",
                               "ln -s $(echo *.kept) 40000002.kept", "truncate -s 9 *.kept"}) {
        run(fmt::format("cd /run/tapline/devices && {}", damage));
        const auto found = check(findings({}), "records");
        EXPECT_EQ(found["state"], "limited") << damage;
        run(fmt::format("PATH=$PATH:{}; {}", program_path("backend"),
                        found["mend"].get<std::string>()));
    }
    EXPECT_EQ(check(findings({}), "records")["state"], "ok");
}

// Its owner may be writing just now.
TEST_F(Doctor, LeavesTheRecordOfALivingOwner) {
    run("install -d -m 755 /run/tapline/devices");
    const UniqueFd owned(
        open("/run/tapline/devices/40000001", O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR));
    ASSERT_EQ(flock(owned.get(), LOCK_EX), 0);
    EXPECT_EQ(check(findings({}), "records")["state"], "ok");
}

TEST_F(Doctor, RefusesInterfacesThatCarryNoEthernet) {
    run("ip tuntap add tun0 mode tun && ip tuntap add tap0 mode tap");
    EXPECT_EQ(check_of_parent("lo", "parent")["state"], "broken");
    EXPECT_EQ(check_of_parent("tun0", "parent")["state"], "broken");
    EXPECT_EQ(check_of_parent("tap0", "parent")["state"], "limited");
    EXPECT_EQ(check_of_parent("none", "parent")["detail"], "no such interface");
    run("ip link delete tun0 && ip link delete tap0");
}

TEST_F(Doctor, ChecksEachParentOnce) {
    const auto all = findings({"--parent", "uplink", "--parent", "peer0", "--parent", "uplink"});
    EXPECT_EQ(std::ranges::count_if(
                  all["checks"], [](const auto& each) { return each["check"] == "parent uplink"; }),
              1);
    EXPECT_EQ(check(all, "parent peer0")["state"], "ok");
}

TEST_F(Doctor, FindsACapabilityThatIsNotInEffect) {
    const auto all =
        nlohmann::json::parse(output_of("setpriv --inh-caps=-net_admin --bounding-set=-net_admin " +
                                        program_path("backend/tapline") + " doctor --json"));
    EXPECT_EQ(check(all, "net-admin")["state"], "limited");
}

TEST_F(Doctor, FindsIoUringSwitchedOff) {
    const std::string file = "/proc/sys/kernel/io_uring_disabled";
    run("echo 2 > /run/two && mount --bind /run/two " + file);
    const auto found = check(findings({}), "io-uring");
    run("umount " + file);
    EXPECT_EQ(found["state"], "limited");
    EXPECT_EQ(found["mend"], "sysctl kernel.io_uring_disabled=0");
}

TEST_F(Doctor, FindsProgramsInThePath) {
    const ProgramsInPath programs("echo 'fake 10.2.1'; echo more");
    const auto all = findings({});
    EXPECT_EQ(check(all, "libvirt")["detail"], "fake 10.2.1");
    EXPECT_THAT(check(all, "qemu")["detail"].get<std::string>(), StartsWith("fake 10.2.1, with"));
}

// What the script starts would keep its output open.
TEST_F(Doctor, DoesNotWaitForProgramsThatHang) {
    const ProgramsInPath programs("sleep 1000");
    const auto all = findings({});
    EXPECT_THAT(check(all, "qemu")["detail"].get<std::string>(),
                HasSubstr("did not tell its version within"));
    EXPECT_EQ(check(all, "qemu")["state"], "limited");
    EXPECT_EQ(check(all, "libvirt")["state"], "ok");
}

TEST_F(Doctor, TellsPeopleALineEachAndWhatToDo) {
    const Outcome outcome = doctor({"--parent", "none"});
    EXPECT_EQ(outcome.status, 2);
    EXPECT_THAT(outcome.output, AllOf(HasSubstr("\nbroken   parent none "),
                                      HasSubstr("\n         why:  a device needs a parent\n"
                                                "         mend: ip -br link"),
                                      EndsWith("cannot work\n")));
}

TEST_F(Doctor, ChecksTheParentsAndCardsOfADomain) {
    const std::string file =
        write_domain("<interface type='direct'><source dev='uplink'/></interface>\n"
                     "<interface type='direct'><source dev='none'/></interface>\n"
                     "<interface type='vhostuser'><model type='virtio'/></interface>");
    const auto all = findings({"--domain-xml", file});
    EXPECT_EQ(check(all, "parent uplink")["state"], "ok");
    EXPECT_EQ(check(all, "parent none")["state"], "broken");
    EXPECT_EQ(check(all, "domain-memory web1")["state"], "broken");
    EXPECT_EQ(check(all, "domain-card web1/3")["state"], "ok");
}

TEST_F(Doctor, RefusesWhatIsNoDomainInOneSentence) {
    const Outcome outcome = doctor({"--domain-xml", write_domain("<interface type='direct'/>")});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.output, "");
    EXPECT_THAT(outcome.errors,
                AllOf(StartsWith("tapline: "), HasSubstr("'/run/web1.xml', line 5: "),
                      HasSubstr("names no parent")));
    EXPECT_EQ(std::ranges::count(outcome.errors, '\n'), 1);
}

TEST_F(Doctor, RefusesADomainItCannotRead) {
    const Outcome missing = doctor({"--domain-xml", "/run/missing.xml"});
    EXPECT_EQ(missing.status, 1);
    EXPECT_THAT(missing.errors, HasSubstr("'/run/missing.xml': No such file or directory"));
    setenv("TAPLINE_EXEC_PATH", "/run", 1);
    const Outcome alone = doctor({"--domain-xml", write_domain("")});
    EXPECT_EQ(alone.status, 1);
    EXPECT_THAT(alone.errors, AllOf(HasSubstr("/run/tapline-xml"), HasSubstr("TAPLINE_EXEC_PATH")));
}

TEST_F(Doctor, RefusesWrongUsage) {
    for (const Arguments& arguments : {Arguments{"more"}, {"--parent"}, {"--unknown"}}) {
        const Outcome outcome = doctor(arguments);
        EXPECT_EQ(outcome.status, 2);
        EXPECT_EQ(outcome.output, "");
        EXPECT_THAT(outcome.errors, StartsWith("tapline: "));
    }
    const Outcome name = doctor({"--parent", "a/b"});
    EXPECT_EQ(name.status, 1);
    EXPECT_THAT(name.errors, HasSubstr("use interface name 'a/b'"));
}

// `tapline` finds the programs behind its verbs in any of several folders.
TEST_F(Doctor, FindsTheProgramOfAVerbInTheSecondFolder) {
    setenv("TAPLINE_EXEC_PATH", ("/run:" + program_path("xml")).c_str(), 1);
    const Outcome outcome = outcome_of("backend/tapline", {"xml", "show", write_domain("")});
    EXPECT_EQ(outcome.status, 0) << outcome.errors;
    EXPECT_THAT(outcome.output, StartsWith("web1: 2 vCPUs, memory not shared"));
}

} // namespace
} // namespace tapline::netns
