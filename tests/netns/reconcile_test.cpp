// `tapline reconcile` and `list` after a crash: what nobody owns goes, what is in use or not ours
// stays, and no file among the records can lead them astray.
#include "backend/base/number.h"
#include "tests/netns/device_lab.h"
#include "tests/unit/eventually.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <climits>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

namespace tapline::netns {
namespace {

namespace fs = std::filesystem;

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::MatchesRegex;
using testing::Not;
using testing::SizeIs;

class Reconcile : public DeviceLab {
protected:
    // What it printed, where all went well.
    static std::string reconcile(const Arguments& more = {}) {
        Arguments arguments = {"reconcile"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        const Outcome outcome = tapline(arguments);
        EXPECT_EQ(outcome.status, 0) << outcome.errors;
        EXPECT_EQ(outcome.errors, "");
        return outcome.output;
    }

    static void lose_records() {
        fs::remove_all(records_folder);
        fs::create_directory(records_folder);
    }

    static void write_record(const std::string& name, const std::string& text) {
        fs::create_directories(records_folder);
        std::ofstream(fmt::format("{}/{}", records_folder, name)) << text;
    }

    static std::string owner_in_table() {
        const std::string table = tapline({"list"}).output;
        const auto line = table.substr(0, table.size() - 1);
        return line.substr(line.rfind('\n') + 1);
    }
};

TEST_F(Reconcile, RemovesTheDeviceOfAKilledPumpAndTellsOnce) {
    const auto before = links();
    abandon("web0");
    EXPECT_THAT(reconcile(),
                MatchesRegex("web0: removed: tapline-pump \\(process [0-9]+\\) is gone\n"));
    EXPECT_EQ(links(), before);
    EXPECT_THAT(records(), IsEmpty());
    EXPECT_EQ(reconcile(), "");
}

TEST_F(Reconcile, LeavesWhatWasMadeToStayOrHasALivingOwner) {
    create("web0");
    Program pump("iouring/tapline-pump", {"--socket-path", test_socket(), "--parent", "uplink",
                                          "--name", "web1", "--json-status"});
    pump.wait_for("listening");
    const auto before = links();
    EXPECT_EQ(reconcile(), "");
    EXPECT_EQ(links(), before);
    EXPECT_THAT(records(), SizeIs(2));
}

// The owner of web0 died, web2 lost its record, web3 is in order, and a record lost its device.
TEST_F(Reconcile, OnlyTellsInADryRunWhatItWouldDo) {
    for (const char* name : {"web2", "gone0"}) {
        create(name);
    }
    run("ip link delete gone0");
    const std::string lost = link("web2").at("ifalias").get<std::string>().substr(8);
    fs::remove(fmt::format("{}/{}.kept", records_folder, lost));
    create("web3");
    abandon("web0");
    const auto links_before = links();
    const auto records_before = records();

    const std::string told = reconcile({"--dry-run"});
    EXPECT_THAT(told, AllOf(HasSubstr("web0: would be removed: tapline-pump"),
                            HasSubstr("web2: would be recorded: it had no record"),
                            HasSubstr("a device on 'uplink': would be forgotten: it is gone")));
    const auto planned = nlohmann::json::parse(reconcile({"--dry-run", "--json"}));
    EXPECT_EQ(links(), links_before);
    EXPECT_EQ(records(), records_before);
    EXPECT_EQ(nlohmann::json::parse(reconcile({"--json"})), planned);

    ASSERT_THAT(planned, SizeIs(4));
    for (const auto& entry : planned) {
        EXPECT_THAT(entry, SizeIs(3));
        const auto& finding = entry.at("finding");
        EXPECT_EQ(finding, entry.at("subject") == "web0"   ? "leftover"
                           : entry.at("subject") == "web2" ? "orphan"
                           : entry.at("subject") == "web3" ? "in order"
                                                           : "forgotten");
        EXPECT_NE(entry.at("reason"), "");
    }
    EXPECT_TRUE(link("web0").is_null());
    EXPECT_THAT(records(), SizeIs(2)); // Of web2 and web3.
}

TEST_F(Reconcile, LeavesADeviceThatIsInUseAndRemovesItLater) {
    Program owner("backend/tapline", {"exec", "--parent", "uplink", "--name", "web0", "--", "sh",
                                      "-c", "echo $$; exec tail -f /dev/null"});
    const pid_t user = parse_number<pid_t>("process", owner.next_line(), 1, INT_MAX);
    owner.signal(SIGKILL);
    owner.wait();
    EXPECT_THAT(owner_in_table(), EndsWith(" died"));
    EXPECT_EQ(listed()[0].at("owner").at("state"), "died");
    EXPECT_THAT(reconcile(),
                MatchesRegex(fmt::format("web0: left alone: tapline exec \\(process [0-9]+\\) is "
                                         "gone, but tail \\(process {}\\) uses it\n",
                                         user)));
    EXPECT_FALSE(link("web0").is_null());
    kill(user, SIGKILL);
    EXPECT_TRUE(eventually([] { return reconcile().starts_with("web0: removed"); }));
    EXPECT_TRUE(link("web0").is_null());
    EXPECT_THAT(records(), IsEmpty());
}

// The kernel gives the number of the deleted device to the next one.
TEST_F(Reconcile, IsNotKeptByAQueueOfADeviceThatIsGone) {
    Program holder("backend/tapline", {"exec", "--parent", "uplink", "--name", "gone0", "--", "sh",
                                       "-c", "echo ready; exec tail -f /dev/null"});
    EXPECT_EQ(holder.next_line(), "ready");
    run("ip link delete gone0");
    abandon("web0");
    EXPECT_THAT(reconcile(), testing::StartsWith("web0: removed: "));
    holder.signal(SIGTERM);
    EXPECT_EQ(holder.wait(), 128 + SIGTERM);
}

// By its name, its address or its parent for itself; and that may be named by another name.
TEST_F(Reconcile, IsNotNeededByWhoWantsThePlaceOfALeftDevice) {
    run("ip link property add dev uplink altname lan");
    const Arguments address = {"--mac", "52:54:00:12:34:56"};
    for (const auto& [left, wanted] : std::vector<std::pair<Arguments, Arguments>>{
             {{}, {"--name", "web0"}}, {address, address}, {{"--mode", "passthru"}, {}}}) {
        abandon("web0", left);
        Arguments arguments = {"create", "--parent", "lan"};
        arguments.insert(arguments.end(), wanted.begin(), wanted.end());
        const Outcome outcome = tapline(arguments);
        ASSERT_EQ(outcome.status, 0) << outcome.errors;
        EXPECT_THAT(records(), ElementsAre(EndsWith(".kept")));
        EXPECT_EQ(tapline({"delete", outcome.output.substr(0, outcome.output.size() - 1)}).status,
                  0);
    }
}

TEST_F(Reconcile, RecordsADeviceThatLostItsRecord) {
    create("web0");
    lose_records();
    EXPECT_THAT(owner_in_table(), EndsWith(" unknown"));
    EXPECT_EQ(listed()[0].at("owner").at("state"), "unknown");
    EXPECT_EQ(reconcile(), "web0: recorded: it had no record\n");
    EXPECT_THAT(owner_in_table(), EndsWith(" kept"));
    EXPECT_EQ(listed()[0].at("owner").at("state"), "kept");
    EXPECT_EQ(reconcile(), "");
    EXPECT_EQ(tapline({"delete", "web0"}).status, 0);
    EXPECT_THAT(records(), IsEmpty());
}

TEST_F(Reconcile, ForgetsADeviceThatWasDeletedByAnother) {
    create("web0");
    run("ip link delete web0");
    EXPECT_EQ(listed(), nlohmann::json::array());
    EXPECT_EQ(reconcile(), "a device on 'uplink': forgotten: it is gone\n");
    EXPECT_THAT(records(), IsEmpty());
}

TEST_F(Reconcile, FindsARenamedDeviceByItsMark) {
    abandon("web0");
    run("ip link set web0 down && ip link set web0 name other0");
    EXPECT_THAT(reconcile(), testing::StartsWith("other0: removed: "));
    EXPECT_TRUE(link("other0").is_null());
}

// Its owner died between making it and giving it the alias.
TEST_F(Reconcile, FindsADeviceWithoutItsMarkByItsGroup) {
    write_record("40000123", R"({"parent":"uplink","network_namespace":0,"program":"x","pid":1})");
    run("ip link add link uplink name half0 group 1073742115 type macvtap"); // 0x40000123
    EXPECT_EQ(reconcile(), "half0: removed: x (process 1) is gone\n");
    EXPECT_TRUE(link("half0").is_null());
    EXPECT_THAT(records(), IsEmpty());
}

// Not all who may use its device can be seen from here.
TEST_F(Reconcile, LeavesWhatAnOwnerInAnotherPidNamespaceLeft) {
    const std::string here = output_of("stat -Lc %i /proc/self/ns/net");
    write_record("40000123", R"({"parent":"uplink","program":"x","pid":1,"pid_namespace":1,)"
                             R"("network_namespace":)" +
                                 here + "}");
    run("ip link add link uplink name half0 group 1073742115 type macvtap"); // 0x40000123
    const Outcome refused = tapline({"reconcile"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.errors, HasSubstr("another PID namespace"));
    EXPECT_FALSE(link("half0").is_null());
    EXPECT_THAT(records(), SizeIs(1));
}

TEST_F(Reconcile, LeavesAForeignDeviceOfTheSameName) {
    abandon("web0");
    run("ip link delete web0 && ip link add link uplink name web0 type macvtap");
    EXPECT_THAT(reconcile(), HasSubstr("forgotten"));
    EXPECT_FALSE(link("web0").is_null());
    EXPECT_THAT(records(), IsEmpty());
}

TEST_F(Reconcile, TouchesNothingThatOnlyLooksLikeOurs) {
    run("ip link add link uplink name web0 alias 'tapline 1234567' type macvtap");
    run("ip link add link uplink name web1 alias 'tapline 123456789' type macvtap");
    run("ip link add link uplink name web2 alias 'Tapline 12345678' type macvtap");
    run("ip link add link uplink name web3 alias 'tapline 1234567g' type macvtap");
    run("ip link add link uplink name web4 alias 'tapline -1234567' type macvtap");
    run("ip link add link uplink name web5 group 1073742115 type macvtap");
    run("ip link add link uplink name web6 alias 'tapline 12345678' type macvlan");
    run("ip link set peer0 alias 'tapline 12345678' group 1073742115");
    for (int i = 0; i < 5; ++i) { // What `ip link add` does not take.
        run(fmt::format("ip link set web{} alias \"$(ip -j link show web{} | "
                        "sed 's/.*ifalias\":\"//; s/\".*//')\"",
                        i, i));
    }
    const auto before = links();
    EXPECT_EQ(reconcile(), "");
    EXPECT_EQ(links(), before);
    EXPECT_THAT(records(), IsEmpty());
    EXPECT_EQ(listed(), nlohmann::json::array());
    for (const auto* name : {"web0", "web5", "web6", "peer0"}) {
        expect_refusal(tapline({"delete", name}), name);
    }
}

struct Stray {
    std::string name;
    std::string command; // Run in the folder of the records.
    bool stays;
    friend void PrintTo(const Stray& stray, std::ostream* out) { *out << stray.name; }
};

class StrayFiles : public Reconcile, public testing::WithParamInterface<Stray> {};

TEST_P(StrayFiles, AmongTheRecordsAreToldAndDoNoHarm) {
    create("web0");
    const auto own = records();
    run("echo untouched > /run/target");
    run(fmt::format("cd {} && {}", records_folder, GetParam().command));
    const auto before = links();
    const auto files_before = records();
    const Outcome list = tapline({"list"});
    EXPECT_EQ(list.status, 0);
    EXPECT_THAT(list.output, HasSubstr("web0"));
    EXPECT_THAT(list.errors,
                MatchesRegex(GetParam().stays
                                 ? "[^\n]* is no record of a device [^\n]*\n"
                                 : "[^\n]* is damaged [^\n]*tapline reconcile[^\n]*\n"));
    EXPECT_EQ(listed().size(), 1u);
    (void)tapline({"reconcile"});
    EXPECT_EQ(links(), before);
    EXPECT_EQ(records(), GetParam().stays ? files_before : own);
    const Outcome again = tapline({"reconcile"});
    if (GetParam().stays) {
        expect_refusal(again, "it is no record of a device (remove it)");
    } else {
        EXPECT_EQ(again.output + again.errors, "") << "it is told again and again";
    }
    EXPECT_EQ(output_of("cat /run/target"), "untouched\n");
    EXPECT_EQ(tapline({"delete", "web0"}).status, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Files, StrayFiles,
    testing::Values(
        Stray{"Fifo", "mkfifo 40000001", true}, Stray{"FifoKept", "mkfifo 40000001.kept", true},
        Stray{"Folder", "mkdir 40000001", true}, Stray{"Device", "mknod 40000001 c 1 5", true},
        Stray{"SymbolicLink", "ln -s /run/target 40000001", true},
        Stray{"SymbolicLinkToNothing", "ln -s /nosuch 40000001.kept", true},
        Stray{"NoNumber", "echo x > README", true}, Stray{"NumberTooLong", "> 400000011", true},
        Stray{"NumberInCapitals", "> 4ABCDEF0", true}, Stray{"OnlySuffix", "> .kept", true},
        Stray{"Empty", "> 40000001", false}, Stray{"EmptyKept", "> 40000001.kept", false},
        Stray{"Garbage", "head -c 3000 /dev/urandom > 40000001", false},
        Stray{"Huge", "truncate -s 1T 40000001", false},
        Stray{"HugeText", "yes '[[[[[[' | head -c 5000000 > 40000001.kept", false},
        Stray{"NoObject", "echo '[1,2]' > 40000001", false},
        Stray{"WrongTypes", R"(echo '{"parent":5,"program":{},"pid":"x"}' > 40000001)", false},
        Stray{"NumbersOutOfRange",
              R"(echo '{"parent":"a","program":"b","pid":99999999999,"network_namespace":-1}')"
              " > 40000001",
              false},
        Stray{"ControlCharacters",
              R"(printf '{"parent":"\\u001b[2J","program":"\\n","pid":1,"network_namespace":1}')"
              " > 40000001.kept",
              false}),
    [](const auto& test) { return test.param.name; });

TEST_F(Reconcile, WritesTheDamagedRecordOfADeviceAnew) {
    create("web0");
    const std::string record = records().front();
    write_record(record, R"({"parent":"upl)");
    const Outcome list = tapline({"list"});
    EXPECT_EQ(list.status, 0);
    EXPECT_THAT(list.output, EndsWith(" kept\n"));
    EXPECT_THAT(list.errors, HasSubstr("is damaged"));
    EXPECT_EQ(reconcile({"--dry-run"}), "web0: would be recorded: its record was damaged\n");
    EXPECT_EQ(reconcile(), "web0: recorded: its record was damaged\n");
    EXPECT_THAT(records(), ElementsAre(record));
    EXPECT_EQ(tapline({"list"}).errors, "");
    EXPECT_EQ(reconcile(), "");
}

TEST_F(Reconcile, ShowsNoControlCharacterOfARecord) {
    write_record("40000001", R"({"parent":"a\u001b[2J\n","program":"b\r","pid":1})");
    EXPECT_EQ(reconcile(), "a device on 'a?[2J?': forgotten: b? (process 1) is gone, and it as "
                           "well\n");
}

TEST_F(Reconcile, MendsOtherNetworkNamespacesThatLive) {
    const OtherNamespace other;
    ASSERT_EQ(
        tapline({"create", "--netns", "other", "--parent", "uplink", "--name", "web0"}).status, 0);
    abandon("web1", {"--netns", "other"});
    const auto before = links();
    EXPECT_THAT(reconcile(), testing::StartsWith("web1: removed"));
    EXPECT_TRUE(other.has("web0"));
    EXPECT_FALSE(other.has("web1"));
    EXPECT_THAT(records(), SizeIs(1));
    EXPECT_EQ(links(), before);
}

TEST_F(Reconcile, ForgetsDevicesOfANetworkNamespaceThatIsGone) {
    OtherNamespace other;
    ASSERT_EQ(tapline({"create", "--netns", "other", "--parent", "uplink"}).status, 0);
    other.remove();
    EXPECT_EQ(reconcile(), "a device on 'uplink': forgotten: its network namespace is gone\n");
    EXPECT_THAT(records(), IsEmpty());
}

// As from a container with a /proc of its own.
TEST_F(Reconcile, LeavesTheRecordOfALivingOwnerWhoseNetworkNamespaceItDoesNotSee) {
    write_record("40000001", R"({"parent":"eth9","network_namespace":1,"program":"x","pid":7})");
    Program owner("/usr/bin/flock", {"--no-fork", "/run/tapline/devices/40000001", "sh", "-c",
                                     "echo locked; exec tail -f /dev/null"});
    EXPECT_EQ(owner.next_line(), "locked");
    EXPECT_EQ(reconcile(), "");
    EXPECT_THAT(records(), ElementsAre("40000001"));
}

// Once there it is found; here it is gone.
TEST_F(Reconcile, FollowsADeviceThatWasMovedElsewhere) {
    const OtherNamespace other;
    create("web0");
    run("ip link set web0 netns other");
    EXPECT_EQ(reconcile(), "a device on 'uplink': forgotten: it is gone\n");
    EXPECT_EQ(other.output_of(program_path("backend/tapline") + " reconcile"),
              "web0: recorded: it had no record\n");
    EXPECT_EQ(reconcile(), "");
    EXPECT_EQ(tapline({"delete", "--netns", "other", "web0"}).status, 0);
    EXPECT_FALSE(other.has("web0"));
    EXPECT_THAT(records(), IsEmpty());
}

TEST_F(Reconcile, TwiceAtOnceMendsAllAndFailsAtNothing) {
    const auto before = links();
    for (int i = 0; i < 4; ++i) {
        create(fmt::format("lost{}", i));
    }
    lose_records();
    for (int i = 0; i < 4; ++i) {
        abandon(fmt::format("web{}", i));
        create(fmt::format("gone{}", i));
        run(fmt::format("ip link delete gone{}", i));
    }
    Program one("backend/tapline", {"reconcile"});
    Program two("backend/tapline", {"reconcile"});
    EXPECT_EQ(one.wait(), 0) << one.errors();
    EXPECT_EQ(two.wait(), 0) << two.errors();
    EXPECT_THAT(records(), SizeIs(4));
    EXPECT_EQ(reconcile(), "");
    EXPECT_EQ(tapline({"delete", "lost0", "lost1", "lost2", "lost3"}).status, 0);
    EXPECT_EQ(links(), before);
}

TEST_F(Reconcile, AgainAndAgainNeverRemovesALiveDevice) {
    const std::string command =
        fmt::format("until [ -e /run/enough ]; do {} reconcile || exit 1; done",
                    program_path("backend/tapline"));
    fs::remove("/run/enough");
    Program mender("/bin/sh", {"-c", command});
    constexpr int pumps = 10;
    for (int i = 0; i < pumps; ++i) {
        Program pump("iouring/tapline-pump", {"--socket-path", test_socket(), "--parent", "uplink",
                                              "--name", "web0", "--json-status"});
        pump.wait_for("listening");
        EXPECT_FALSE(link("web0").is_null());
        pump.signal(SIGTERM);
        EXPECT_EQ(pump.wait(), 0) << pump.errors();
        create("web1");
        EXPECT_EQ(tapline({"delete", "web1"}).status, 0);
    }
    std::ofstream("/run/enough").flush();
    EXPECT_EQ(mender.wait(), 0);
    // That a record is forgotten while `delete` does the same is all there may be to tell.
    EXPECT_THAT(mender.output(), AllOf(Not(HasSubstr("removed")), Not(HasSubstr("recorded"))));
    EXPECT_EQ(mender.errors(), "");
    EXPECT_THAT(records(), IsEmpty());
}

// It may not mount a sysfs of its own, and the one there is shows another network namespace.
TEST_F(Reconcile, GoesOnWhereItCannotTellWhetherADeviceIsInUse) {
    abandon("web0");
    create("gone0");
    run("ip link delete gone0 && umount /sys");
    const Outcome outcome =
        outcome_of("/usr/bin/setpriv",
                   {"--bounding-set=-sys_admin", program_path("backend/tapline"), "reconcile"});
    run("mount -t sysfs sysfs /sys");
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.errors, HasSubstr("web0"));
    EXPECT_THAT(outcome.output, HasSubstr("forgotten"));
    EXPECT_FALSE(link("web0").is_null());
    EXPECT_THAT(records(), SizeIs(1));
    EXPECT_THAT(reconcile(), testing::StartsWith("web0: removed"));
}

TEST_F(Reconcile, IsRefusedToOthersThanRoot) {
    create("web0");
    expect_refusal(
        outcome_of("/usr/bin/setpriv", {"--reuid=65534", "--regid=65534", "--clear-groups",
                                        program_path("backend/tapline"), "reconcile"}),
        "run as root");
}

class RecordsFolder : public Reconcile, public testing::WithParamInterface<std::string> {};

TEST_P(RecordsFolder, IsRefusedWhereOthersCanWrite) {
    abandon("web0");
    const auto before = links();
    run(fmt::format("{} {}", GetParam(), records_folder));
    expect_refusal(tapline({"create", "--parent", "uplink"}), records_folder);
    expect_refusal(tapline({"reconcile"}), records_folder);
    expect_refusal(tapline({"list"}), records_folder);
    EXPECT_EQ(links(), before);
}

INSTANTIATE_TEST_SUITE_P(Ways, RecordsFolder,
                         testing::Values("chown 65534", "chmod 775", "chmod 1757"),
                         [](const auto& test) {
                             return std::string("Case") + std::to_string(test.index);
                         });

TEST_F(Reconcile, IsNotNeededWhereNothingCanBeRecorded) {
    create("web0");
    run("mount -o remount,ro /run");
    const auto before = links();
    const Outcome refused = tapline({"create", "--parent", "uplink", "--name", "web1"});
    const auto after = links();
    const Outcome deleted = tapline({"delete", "web0"});
    run("mount -o remount,rw /run");
    expect_refusal(refused, "Read-only file system");
    EXPECT_EQ(after, before);
    EXPECT_EQ(deleted.status, 0) << deleted.errors;
    EXPECT_EQ(reconcile(), "a device on 'uplink': forgotten: it is gone\n");
}

TEST_F(Reconcile, IsWhatDeleteNamesNotForADeviceOfALivingPump) {
    Program pump("iouring/tapline-pump", {"--socket-path", test_socket(), "--parent", "uplink",
                                          "--name", "web0", "--json-status"});
    pump.wait_for("listening");
    expect_refusal(tapline({"delete", "web0"}),
                   fmt::format("tapline-pump (process {}) owns it", pump.pid()));
    EXPECT_THAT(owner_in_table(), EndsWith(fmt::format(" tapline-pump ({})", pump.pid())));
    EXPECT_EQ(
        listed()[0].at("owner"),
        nlohmann::json({{"state", "owned"}, {"program", "tapline-pump"}, {"pid", pump.pid()}}));
    EXPECT_FALSE(link("web0").is_null());
    pump.signal(SIGTERM);
    EXPECT_EQ(pump.wait(), 0);
}

} // namespace
} // namespace tapline::netns
