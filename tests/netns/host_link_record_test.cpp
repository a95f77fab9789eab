// The records of host links: who may have written them, one that is damaged, and those of other
// network namespaces.
#include "tests/netns/device_lab.h"
#include "tests/netns/host_link_lab.h"

#include <gmock/gmock.h>

#include <string>

namespace tapline::netns {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr auto folder = "/run/tapline/host-links";

// Two parents with a host link each: th0 on uplink, th1 on peer0.
class HostLinkRecords : public HostLinks {
protected:
    HostLinkRecords() {
        add({"--address", "192.0.2.2"});
        record_of_th0_ = record_files().front();
        EXPECT_EQ(host_link({"add", "peer0", "--address", "192.0.2.3"}).output, "th1\n");
    }

    std::string record_of_th0_;
};

class DamagedRecord : public HostLinkRecords, public testing::WithParamInterface<std::string> {
protected:
    // The commands that damage it find its path in $record.
    DamagedRecord() { run("record=" + record_of_th0_ + "; " + GetParam()); }
};

TEST_P(DamagedRecord, IsToldByItsPathAndKeepsNoOtherHostLink) {
    const auto before = state();
    for (const Arguments& arguments : {Arguments{"remove", "uplink"},
                                       {"remove", "th0"},
                                       {"add", "uplink", "--address", "::2"}}) {
        expect_refusal(host_link(arguments), record_of_th0_);
    }
    EXPECT_EQ(state(), before);

    const Outcome list = host_link({"list", "--json"});
    EXPECT_EQ(list.status, 1);
    EXPECT_THAT(list.errors, HasSubstr("read " + record_of_th0_));
    const auto others = nlohmann::json::parse(list.output);
    ASSERT_THAT(others, SizeIs(1));
    EXPECT_EQ(others.front().at("device"), "th1");

    run("ip link delete th1");
    const Outcome mended = reconcile();
    EXPECT_EQ(mended.status, 1);
    EXPECT_EQ(mended.output, "host link 'th1' on 'peer0': removed: its link was deleted\n");
    EXPECT_THAT(mended.errors, HasSubstr("a host link: read " + record_of_th0_));

    EXPECT_EQ(host_link({"add", "peer0", "--address", "192.0.2.3"}).output, "th1\n");
    EXPECT_EQ(host_link({"remove", "th1"}).status, 0);
    EXPECT_THAT(record_files(), ElementsAre(record_of_th0_));
}

INSTANTIATE_TEST_SUITE_P(
    Files, DamagedRecord,
    testing::Values("echo {} > $record", ": > $record", ": > $record; truncate -s 1T $record",
                    "sed -i 's/parent_index\":[0-9]*/parent_index\":77/' $record",
                    "rm $record; mkdir $record", "rm $record; mkfifo $record",
                    "mv $record /run/moved; ln -s /run/moved $record"));

TEST_F(HostLinkRecords, BlockNobodyWithAForeignFolderAmongThem) {
    for (const char* name : {"notes", "7-1.json.d"}) {
        run("mkdir -p " + std::string(folder) + "/" + name + "/full");
    }
    EXPECT_EQ(host_link({"remove", "uplink"}).status, 0);
    add({"--address", "192.0.2.2"});
    EXPECT_THAT(output_of("ls " + std::string(folder)), HasSubstr("notes"));
}

TEST_F(HostLinkRecords, AreInAFolderOfRootAlone) {
    run("rm -r /run/tapline");
    const std::string add_open =
        program_path("backend/tapline") + " host-link add uplink --address 192.0.2.2 > /dev/null";
    run("ip link delete th0; ip link delete th1; umask 0; " + add_open);
    EXPECT_EQ(output_of("stat -c '%a %u' /run/tapline " + std::string(folder)), "755 0\n755 0\n");
    run("rm -r /run/tapline; ip link delete th0; umask 077; " + add_open);
    EXPECT_EQ(output_of("stat -c '%a %u' /run/tapline " + std::string(folder)), "755 0\n755 0\n");
}

TEST_F(HostLinkRecords, ThatOthersCouldWriteAreNotTrusted) {
    const auto before = state();
    for (const std::string path : {"/run/tapline", folder}) {
        for (const std::string change : {"chmod 777 ", "chown 1 "}) {
            run(change + path);
            for (const Arguments& arguments : {Arguments{"add", "uplink", "--address", "192.0.2.9"},
                                               {"remove", "th0"},
                                               {"list"}}) {
                expect_refusal(host_link(arguments), path + " is not root's alone");
            }
            run("chown 0:0 " + path + " && chmod 755 " + path);
        }
    }
    run("chmod 777 " + std::string(folder) + " && ip link delete th1");
    const Outcome mended = reconcile();
    EXPECT_EQ(mended.status, 1);
    EXPECT_THAT(mended.errors, HasSubstr("is not root's alone"));
    EXPECT_THAT(record_files(), SizeIs(2));
    run("ip link delete th0");
    EXPECT_NE(state(), before);
}

TEST_F(HostLinkRecords, NeedAFolder) {
    for (const char* instead : {"touch /run/tapline", "ln -s /nowhere /run/tapline"}) {
        run("rm -r /run/tapline");
        run(instead);
        for (const Arguments& arguments :
             {Arguments{"add", "uplink", "--address", "192.0.2.9"}, {"list"}}) {
            expect_refusal(host_link(arguments), "/run/tapline is no folder (as root: rm ");
        }
    }
    run("rm /run/tapline");
}

class HostLinkElsewhere : public HostLinks {
protected:
    OtherNamespace other_;
};

TEST_F(HostLinkElsewhere, IsMadeListedAndRemovedWithNetns) {
    const auto before = state();
    EXPECT_EQ(host_link({"add", "uplink", "--address", "192.0.2.2", "--netns", "other"}).output,
              "th0\n");
    EXPECT_TRUE(OtherNamespace::has("th0"));
    EXPECT_EQ(state(), before);
    EXPECT_EQ(listed(), nlohmann::json::array());
    EXPECT_THAT(host_link({"list", "--netns=other"}).output, HasSubstr("192.0.2.2/32"));
    EXPECT_EQ(host_link({"remove", "uplink", "--netns=other"}).status, 0);
    EXPECT_FALSE(OtherNamespace::has("th0"));
    expect_refusal(host_link({"list", "--netns=nosuch"}), "nosuch");
}

TEST_F(HostLinkElsewhere, IsMendedByReconcileWhereThereIsNoDevice) {
    EXPECT_EQ(host_link({"add", "uplink", "--address", "192.0.2.2", "--netns=other"}).status, 0);
    EXPECT_EQ(reconcile().output, "");
    EXPECT_TRUE(OtherNamespace::has("th0"));
    run("ip -n other link delete th0");
    EXPECT_EQ(reconcile().output, "host link 'th0' on 'uplink': removed: its link was deleted\n");
    EXPECT_THAT(record_files(), IsEmpty());
}

TEST_F(HostLinkElsewhere, IsForgottenWhenItsNetworkNamespaceIsGone) {
    EXPECT_EQ(host_link({"add", "uplink", "--address", "192.0.2.2", "--netns=other"}).status, 0);
    add({"--address", "192.0.2.2"});
    OtherNamespace::remove();
    const std::string told =
        "host link 'th0' on 'uplink': would be forgotten: its network namespace"
        " is gone\n";
    EXPECT_EQ(reconcile({"--dry-run"}).output, told);
    EXPECT_THAT(record_files(), SizeIs(2));
    EXPECT_EQ(reconcile().status, 0);
    EXPECT_THAT(record_files(), SizeIs(1));
    EXPECT_THAT(listed(), SizeIs(1));
}

// The number of a network namespace that is gone may be given to a new one.
TEST_F(HostLinkElsewhere, IsForgottenWhereAnotherNetworkNamespaceHasItsNumber) {
    add({"--address", "192.0.2.2"});
    const std::string record = record_files().front();
    run("cd " + std::string(folder) +
        "; for each in *; do sed 's/_cookie\":[0-9]*/_cookie\":7/'"
        " $each > 7-${each#*-}; done");
    EXPECT_THAT(record_files(), SizeIs(2));
    EXPECT_EQ(reconcile().output,
              "host link 'th0' on 'uplink': forgotten: its network namespace is gone\n");
    EXPECT_THAT(record_files(), ElementsAre(record));
    EXPECT_THAT(listed(), SizeIs(1));
}

} // namespace
} // namespace tapline::netns
