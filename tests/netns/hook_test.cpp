// `tapline-hook` as libvirt calls it, in any order and killed at any moment: what is there is what
// the last call asked for.
#include "backend/base/error.h"
#include "backend/base/unique_fd.h"
#include "hooks/domain_lock.h"
#include "hooks/kept_pump.h"
#include "hooks/pump_files.h"
#include "tests/netns/device_lab.h"
#include "tests/netns/killer.h"
#include "tests/unit/eventually.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tapline::netns {
namespace {

namespace fs = std::filesystem;

constexpr auto uuid = "d1f0a7c2-6a3e-4c59-9a0c-0e1d2f3a4b5c";
constexpr auto domain_file = "/run/domain.xml";
// With a device that libvirt opens, and one with a pump.
constexpr auto domain = R"(<domain type='qemu'>
  <name>web1</name>
  <uuid>d1f0a7c2-6a3e-4c59-9a0c-0e1d2f3a4b5c</uuid>
  <metadata>
    <tapline:interfaces xmlns:tapline='urn:tapline:domain:1'>
      <tapline:interface mac='52:54:00:12:34:02' parent='uplink' mode='bridge'/>
      <tapline:interface mac='52:54:00:12:34:03' parent='uplink' mode='bridge'/>
    </tapline:interfaces>
  </metadata>
  <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>
  <devices>
    <interface type='ethernet'>
      <mac address='52:54:00:12:34:02'/>
      <target dev='tl525400123402' managed='no'/>
    </interface>
    <interface type='vhostuser'>
      <mac address='52:54:00:12:34:03'/>
      <source type='unix' path='/run/tapline/sockets/525400123403.sock' mode='server'/>
      <driver queues='2'/>
    </interface>
  </devices>
</domain>
)";

struct Operation {
    const char* name;
    std::optional<bool> leaves_all; // Of what the domain needs, or nothing; else as it was.
};

constexpr std::array operations = {
    Operation{"prepare", true},         Operation{"reconnect", true},
    Operation{"attach", true},          Operation{"release", false},
    Operation{"start", std::nullopt},   Operation{"started", std::nullopt},
    Operation{"stopped", std::nullopt}, Operation{"migrate", std::nullopt},
    Operation{"restore", std::nullopt},
};

using Trace = std::multiset<std::string>;

// Links, nodes, files and processes, without the numbers that are never the same again.
Trace trace() {
    Trace found;
    for (const auto& each : links()) {
        found.insert(each.at("ifname").get<std::string>());
    }
    for (const auto& entry : fs::directory_iterator("/dev")) {
        found.insert(entry.path().filename().string().substr(0, 3));
    }
    std::error_code missing;
    for (const auto& entry : fs::recursive_directory_iterator("/run/tapline", missing)) {
        // Of a hook that was killed, the next one that makes something has it.
        const bool lock_of_all = entry.path().filename() == "names.lock";
        if (!entry.is_directory() && !lock_of_all) {
            const bool numbered = entry.path().parent_path() == records_folder;
            found.insert(numbered ? "record" + entry.path().extension().string()
                                  : entry.path().string());
        }
    }
    for (const char* program : {"tapline-hook", "tapline-pump"}) {
        for (size_t i = running(program).size(); i > 0; --i) {
            found.insert(program);
        }
    }
    return found;
}

std::string command_of(const std::string& operation) {
    return fmt::format("exec {} web1 {} begin - <{}", program_path("hooks/tapline-hook"), operation,
                       domain_file);
}

class Hook : public DeviceLab {
protected:
    Hook() {
        setenv("TAPLINE_EXEC_PATH", (program_path("hooks") + ":" + program_path("iouring")).c_str(),
               1);
        // The machine's has the nodes of all network namespaces.
        run("mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && "
            "mknod -m 666 /dev/urandom c 1 9");
        std::ofstream(domain_file) << domain;
        nothing_ = trace();
        call("prepare");
        everything_ = trace();
        call("release");
    }

    ~Hook() override {
        call("release");
        EXPECT_TRUE(eventually([&] { return trace() == nothing_; }));
        run("umount /dev");
        unsetenv("TAPLINE_EXEC_PATH");
    }

    static Outcome outcome_of_call(const std::string& operation) {
        return outcome_of("/bin/sh", {"-c", command_of(operation)});
    }

    static void call(const std::string& operation) {
        const Outcome outcome = outcome_of_call(operation);
        EXPECT_EQ(outcome.status, 0) << operation << ": " << outcome.errors;
        EXPECT_EQ(outcome.output, "") << operation;
    }

    Trace nothing_;
    Trace everything_;
};

class Orders : public Hook, public testing::WithParamInterface<unsigned> {};

TEST_P(Orders, OfCallsTwiceEachEndTheSame) {
    std::vector<Operation> calls;
    for (const Operation& operation : operations) {
        calls.insert(calls.end(), 2, operation);
    }
    std::ranges::shuffle(calls, std::mt19937(GetParam()));
    ASSERT_GT(everything_.size(), nothing_.size());
    bool there = false;
    std::string order;
    for (const Operation& each : calls) {
        order += std::string(" ") + each.name;
        call(each.name);
        there = each.leaves_all.value_or(there);
        ASSERT_EQ(trace(), there ? everything_ : nothing_) << "after" << order;
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Orders, testing::Range(0u, 4u));

class KilledHook : public Hook, public testing::WithParamInterface<const char*> {
protected:
    // A device without its name yet, or that nobody owned yet, is what reconcile is for.
    void expect_after_next_call(bool there) {
        call(there ? "prepare" : "release");
        EXPECT_EQ(tapline({"reconcile"}).status, 0);
        const Trace& expected = there ? everything_ : nothing_;
        EXPECT_TRUE(eventually([&] { return trace() == expected; }))
            << testing::PrintToString(trace());
    }
};

// At each of its calls to the kernel that change something.
TEST_P(KilledHook, IsNotInTheWayOfTheNext) {
    // A sanitizer makes programs start slowly, and their calls are the same.
    const int step = programs_are_of("asan") || programs_are_of("tsan") ? 9 : 1;
    std::set<std::string> calls;
    bool more = true;
    for (int number = 1; more && !HasFailure(); number += step) {
        if (std::string_view(GetParam()) != "prepare") {
            call("prepare");
        }
        const Fate fate = kill_at({.path = "/bin/sh", .arguments = {"-c", command_of(GetParam())}},
                                  number, Moment::before);
        const testing::ScopedTrace where(
            __FILE__, __LINE__, fmt::format("killed before call {}: {}", number, fate.call));
        const bool there = number % 2 == 0;
        expect_after_next_call(there);
        if (there) {
            call("release");
        }
        calls.insert(fate.call);
        more = fate.killed;
    }
    EXPECT_GT(calls.size(), 3u);
}

INSTANTIATE_TEST_SUITE_P(Operations, KilledHook, testing::Values("prepare", "release"),
                         [](const auto& test) { return test.param; });

// A script in the place of the pump.
class StandInPump {
public:
    explicit StandInPump(const std::string& script) {
        fs::create_directory(folder);
        std::ofstream(program) << "#!/bin/sh\n" << script;
        allow();
        setenv("TAPLINE_EXEC_PATH", (folder + (":" + found_)).c_str(), 1);
    }
    ~StandInPump() {
        setenv("TAPLINE_EXEC_PATH", found_.c_str(), 1);
        fs::remove_all(folder);
    }
    StandInPump(const StandInPump&) = delete;
    StandInPump& operator=(const StandInPump&) = delete;

    static void allow() { fs::permissions(program, fs::perms::owner_all); }
    static void forbid() { fs::permissions(program, fs::perms::owner_read); }

private:
    static constexpr auto folder = "/run/stand-in";
    static constexpr auto program = "/run/stand-in/tapline-pump";
    std::string found_ = getenv("TAPLINE_EXEC_PATH");
};

constexpr auto refusal = "echo tapline-pump: no >&2; exit 1";

using Change = std::pair<std::string, std::string>;

void define(const std::vector<Change>& changes) {
    std::string text = domain;
    for (const auto& [from, to] : changes) {
        for (auto at = text.find(from); at != std::string::npos;
             at = text.find(from, at + to.size())) {
            text.replace(at, from.size(), to);
        }
    }
    std::ofstream(domain_file) << text;
}

int index_of(const std::string& device) {
    const auto found = link(device);
    return found.is_null() ? 0 : found.at("ifindex").get<int>();
}

TEST_F(Hook, LastPumpThatRefusesLeavesNothingOfTheOthers) {
    const StandInPump refusing(refusal);
    define({{"<tapline:interface mac='52:54:00:12:34:03'",
             "<tapline:interface mac='52:54:00:12:34:01' parent='uplink' mode='bridge'/>"
             "<tapline:interface mac='52:54:00:12:34:03'"},
            {"<interface type='vhostuser'>",
             "<interface type='ethernet'><mac address='52:54:00:12:34:01'/>"
             "<target dev='tl525400123401' managed='no'/></interface>"
             "<interface type='vhostuser'>"}});
    const Outcome outcome = outcome_of_call("prepare");
    expect_refusal(outcome, "tl525400123403");
    EXPECT_EQ(trace(), nothing_);
}

// What is told is what failed first, behind what could not be taken back for it.
TEST_F(Hook, FirstRefusalIsKeptWhenTakingBackFailsAsWell) {
    const std::string written = fmt::format("/run/tapline/domains/{}.new", uuid);
    const StandInPump refusing(fmt::format("mkdir {}; {}", written, refusal));
    const Outcome outcome = outcome_of_call("prepare");
    fs::remove(written);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.errors, fmt::format("tapline-hook: write {}: Is a directory\n"
                                          "tapline-hook: start the pump of 'tl525400123403': no\n",
                                          written));
    EXPECT_EQ(trace(), nothing_);
}

TEST_F(Hook, ReconnectMakesTheOthersWhereOneCannotBeMade) {
    call("prepare");
    run("ip link delete tl525400123402 && ip link delete tl525400123403");
    EXPECT_TRUE(eventually([] { return running("tapline-pump").empty(); }));
    define({{"52:54:00:12:34:02' parent='uplink'", "52:54:00:12:34:02' parent='nosuch'"}});
    const Outcome outcome = outcome_of_call("reconnect");
    EXPECT_EQ(outcome.status, 0);
    EXPECT_THAT(outcome.errors, testing::HasSubstr("'nosuch': no such interface"));
    EXPECT_TRUE(link("tl525400123402").is_null());
    EXPECT_FALSE(link("tl525400123403").is_null());
    run("rm -f /dev/tap*"); // devtmpfs would have lost the node with its device.
}

TEST_F(Hook, PumpThatIsNotReadyInTimeIsEnded) {
    const StandInPump silent("exec tail -f /dev/null");
    const hooks::PumpFiles files("tl0");
    files.write_options({"--device=tl0"});
    try {
        hooks::start_kept_pump("tl0", std::chrono::milliseconds(200));
        FAIL() << "it was taken for ready";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "start the pump of 'tl0': it was not ready in time");
    }
    files.remove();
    EXPECT_TRUE(
        eventually([] { return running("tapline-hook").empty() && running("tail").empty(); }));
}

// As where the host is short of memory or processes for a while.
TEST_F(Hook, KeeperStartsItsPumpOnceThatCanBeStarted) {
    const StandInPump pump(fmt::format("exec {} \"$@\"", program_path("iouring/tapline-pump")));
    call("prepare");
    const auto killed = running("tapline-pump");
    ASSERT_EQ(killed.size(), 1u);
    StandInPump::forbid();
    ASSERT_EQ(kill(killed.front(), SIGKILL), 0);
    EXPECT_TRUE(eventually([] {
        std::ifstream log("/run/tapline/pumps/tl525400123403.log");
        return std::string(std::istreambuf_iterator(log), {}).find("execute it") !=
               std::string::npos;
    }));
    StandInPump::allow();
    EXPECT_TRUE(eventually([&] { return trace() == everything_; }));
    EXPECT_NE(running("tapline-pump"), killed);
}

TEST_F(Hook, RenamedParentIsTheSame) {
    call("prepare");
    const int index = index_of("tl525400123402");
    const int pumped = index_of("tl525400123403");
    run("ip link set uplink down && ip link set uplink name moved && ip link set moved up");
    call("reconnect");
    EXPECT_EQ(index_of("tl525400123402"), index);
    EXPECT_EQ(index_of("tl525400123403"), pumped);
    run("ip link set moved down && ip link set moved name uplink && ip link set uplink up");
    EXPECT_EQ(trace(), everything_);
}

TEST_F(Hook, ParentMayBeNamedByAnotherName) {
    run("ip link property add dev uplink altname lan");
    define({{"parent='uplink'", "parent='lan'"}});
    call("prepare");
    const int index = index_of("tl525400123402");
    ASSERT_GT(index, 0);
    for (const char* operation : {"reconnect", "prepare"}) {
        call(operation);
        EXPECT_EQ(index_of("tl525400123402"), index) << operation;
    }
}

TEST_F(Hook, ReconnectLeavesTheSocketOfARunningGuest) {
    call("prepare");
    const UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX,
                        .sun_path = "/run/tapline/sockets/525400123403.sock"};
    ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(listener.get(), 1), 0);
    run("ip link delete tl525400123403");
    call("reconnect");
    EXPECT_TRUE(fs::exists(address.sun_path));
    call("release");
    EXPECT_FALSE(fs::exists(address.sun_path));
}

TEST_F(Hook, SocketOfAnotherCardIsRefused) {
    call("prepare");
    define({{uuid, "d1f0a7c2-6a3e-4c59-9a0c-0e1d2f3a4b5d"},
            {"12:34:02", "12:34:04"},
            {"123402", "123404"},
            {"12:34:03", "12:34:05"}});
    expect_refusal(outcome_of_call("prepare"), "525400123403.sock");
    EXPECT_EQ(trace(), everything_);
    define({});
}

TEST_F(Hook, SocketOfAnotherCardOfTheDomainIsRefused) {
    define({{"<tapline:interface mac='52:54:00:12:34:03'",
             "<tapline:interface mac='52:54:00:12:34:04' parent='uplink' mode='bridge'/>"
             "<tapline:interface mac='52:54:00:12:34:03'"},
            {"<interface type='vhostuser'>",
             "<interface type='vhostuser'><mac address='52:54:00:12:34:04'/>"
             "<source type='unix' path='/run/tapline/sockets/525400123403.sock' mode='server'/>"
             "</interface><interface type='vhostuser'>"}});
    expect_refusal(outcome_of_call("prepare"), "525400123403.sock");
    EXPECT_EQ(trace(), nothing_);
}

TEST_F(Hook, PumpThatHearsNoSignalIsKilled) {
    call("prepare");
    const auto pumps = running("tapline-pump");
    ASSERT_EQ(pumps.size(), 1u);
    ASSERT_EQ(kill(pumps.front(), SIGSTOP), 0);
    call("release");
    EXPECT_TRUE(eventually([&] { return trace() == nothing_; }));
}

// As its number it would even be killed with its whole group: of 1 that is everybody.
TEST_F(Hook, ProcessThatIsNotTheKeeperIsLeft) {
    call("prepare");
    constexpr auto lock = "/run/tapline/pumps/tl525400123403.lock";
    const std::string keeper = output_of(fmt::format("cat {}", lock));
    Program other("/usr/bin/tail", {"-f", "/dev/null"});
    std::ofstream(lock) << other.pid() << '\n';
    const Outcome outcome = outcome_of_call("release");
    other.signal(SIGINT);
    EXPECT_EQ(other.wait(), 128 + SIGINT);
    expect_refusal(outcome, fmt::format("`fuser -v {}`", lock));
    std::ofstream(lock) << keeper;
}

// As where a hook starts after one that was killed, whose number is in the file still.
TEST_F(Hook, KeeperThatOnlyBeginsHasNoPumpYet) {
    const hooks::PumpFiles files("tl0");
    files.write_options({"--device=tl0"});
    const std::string ended = output_of("sh -c 'echo $$'");
    std::ofstream(files.lock) << ended;
    const UniqueFd lock(open(files.lock.c_str(), O_RDWR | O_CLOEXEC));
    struct flock whole {};
    whole.l_type = F_WRLCK;
    ASSERT_EQ(fcntl(lock.get(), F_OFD_SETLK, &whole), 0);
    EXPECT_EQ(hooks::find_kept_pump("tl0"), std::nullopt);
    files.remove();
}

TEST_F(Hook, StartForgetsTheNumberOfTheLastKeeperFirst) {
    const hooks::PumpFiles files("tl0");
    files.write_options({"--device=tl0"});
    std::ofstream(files.lock) << "4711\n";
    fs::create_directory(files.log); // So that it goes no further.
    EXPECT_THROW(hooks::start_kept_pump("tl0", std::chrono::milliseconds(200)), Error);
    EXPECT_EQ(fs::file_size(files.lock), 0u);
    fs::remove(files.log);
    files.remove();
}

// Systemd would take it for a pattern.
TEST_F(Hook, NoPumpIsNamedAfterAPattern) {
    define({{"<driver queues", "<target dev='tl*'/><driver queues"}});
    expect_refusal(outcome_of_call("prepare"), "'tl*'");
    EXPECT_EQ(trace(), nothing_);
}

TEST_F(Hook, RecordThatCannotBeReadIsNotCalledDamaged) {
    call("prepare");
    const std::string record = fmt::format("/run/tapline/domains/{}", uuid);
    run(fmt::format("mount --bind /proc/{}/mem {}", getpid(), record)); // Nothing is at 0 there.
    const Outcome outcome = outcome_of_call("release");
    run(fmt::format("umount {}", record));
    expect_refusal(outcome, fmt::format("read {}: Input/output error\n", record));
}

struct Damage {
    const char* name;
    const char* command; // With $record.
    friend void PrintTo(const Damage& damage, std::ostream* out) { *out << damage.name; }
};

class DamagedRecord : public Hook, public testing::WithParamInterface<Damage> {};

TEST_P(DamagedRecord, IsToldByReleaseAndPrepare) {
    call("prepare");
    const std::string record = fmt::format("/run/tapline/domains/{}", uuid);
    run(fmt::format("mv {0} /run/record && record={0} && {1}", record, GetParam().command));
    for (const char* operation : {"release", "prepare"}) {
        const Outcome outcome = outcome_of_call(operation);
        expect_refusal(outcome, fmt::format("read {}: ", record));
        EXPECT_THAT(outcome.errors,
                    testing::HasSubstr(fmt::format("`tapline delete` that, then rm -r {}", record)))
            << operation;
        EXPECT_FALSE(link("tl525400123402").is_null()) << operation;
    }
    run(fmt::format("rm -r {0} && mv /run/record {0}", record));
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, DamagedRecord,
    testing::Values(Damage{"Folder", "mkdir $record"}, Damage{"Fifo", "mkfifo $record"},
                    Damage{"LinkToNothing", "ln -s /nosuch $record"}, Damage{"Empty", "> $record"},
                    Damage{"NoDevice", R"(sed 's/"tl[0-9]*"/""/' /run/record > $record)"}),
    [](const auto& test) { return test.param.name; });

TEST_F(Hook, ReleaseTellsThatTheRecordsAreNoFolder) {
    call("prepare");
    run("mv /run/tapline/domains /run/domains && touch /run/tapline/domains");
    expect_refusal(outcome_of_call("release"), "/run/tapline/domains is no folder");
    run("rm /run/tapline/domains && mv /run/domains /run/tapline/domains");
}

TEST_F(Hook, PlaceOfSocketsThatIsNoFolderIsRefused) {
    for (const char* command : {"touch /run/tapline/sockets", "ln -s /tmp /run/tapline/sockets"}) {
        run(fmt::format("rmdir /run/tapline/sockets && {}", command));
        const Outcome outcome = outcome_of_call("prepare");
        run("rm /run/tapline/sockets && mkdir /run/tapline/sockets");
        expect_refusal(outcome, "/run/tapline/sockets");
        EXPECT_THAT(outcome.errors,
                    testing::HasSubstr("it is no folder (rm /run/tapline/sockets)"));
        EXPECT_EQ(trace(), nothing_);
    }
}

// The remedy is what it says, and works.
TEST_F(Hook, DeviceWithoutItsRecordIsToldWithWhatRemovesIt) {
    call("prepare");
    const std::string record = fmt::format("/run/tapline/domains/{}", uuid);
    run(fmt::format("mv {} /run/record", record));
    const Outcome outcome = outcome_of_call("prepare");
    expect_refusal(outcome, "there is an interface 'tl525400123402' already");
    EXPECT_THAT(outcome.errors, testing::HasSubstr("`tapline delete tl525400123402`"));
    for (const char* device : {"tl525400123402", "tl525400123403"}) {
        EXPECT_EQ(tapline({"delete", device}).status, 0);
    }
    EXPECT_TRUE(eventually([] { return running("tapline-pump").empty(); }));
    call("prepare");
    call("release");
    run("rm -f /run/record /dev/tap*"); // devtmpfs would have lost the node with its device.
}

TEST_F(Hook, NameOfAForeignInterfaceIsToldAsSuch) {
    run("ip link add tl525400123402 type bridge");
    const Outcome outcome = outcome_of_call("prepare");
    run("ip link delete tl525400123402");
    expect_refusal(outcome, "there is an interface 'tl525400123402' already");
    EXPECT_THAT(outcome.errors, testing::HasSubstr("`ip link show tl525400123402`"));
}

// Two names of one interface.
TEST_F(Hook, ParentsAreTheSameByWhateverName) {
    run("ip link property add dev uplink altname lan");
    define({{"52:54:00:12:34:03' parent='uplink' mode='bridge'",
             "52:54:00:12:34:03' parent='lan' mode='passthru'"}});
    const Outcome outcome = outcome_of_call("prepare");
    expect_refusal(outcome, "two interfaces of the domain need it, one of them for itself");
    EXPECT_EQ(trace(), nothing_);
}

// What others than root can open, they can lock.
TEST_F(Hook, WaitsForNobodyButRoot) {
    call("prepare");
    std::vector<UniqueFd> locked;
    for (const auto& entry : fs::recursive_directory_iterator("/run/tapline")) {
        const auto others = fs::perms::others_read | fs::perms::others_write;
        if ((entry.status().permissions() & others) != fs::perms::none && !entry.is_socket()) {
            locked.emplace_back(open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
            ASSERT_EQ(flock(locked.back().get(), LOCK_EX | LOCK_NB), 0) << entry.path();
        }
    }
    ASSERT_THAT(locked, testing::Not(testing::IsEmpty()));
    call("release");
    EXPECT_EQ(trace(), nothing_);
}

TEST_F(Hook, LockIsWaitedForNoLongerThanItsLimit) {
    const auto taken = hooks::DomainLock::take(uuid);
    struct stat file {};
    ASSERT_EQ(stat(fmt::format("/run/tapline/domains/{}.lock", uuid).c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 0777, 0600u);
    try {
        hooks::DomainLock::take(uuid, std::chrono::milliseconds(1));
        FAIL() << "taken twice";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("another process has it"));
    }
}

} // namespace
} // namespace tapline::netns
