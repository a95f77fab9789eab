// What `tapline doctor` makes of a host's files and of the kernel's answers.
#include "backend/base/error.h"
#include "backend/base/unique_fd.h"
#include "backend/doctor/host_checks.h"
#include "backend/doctor/io_uring_checks.h"
#include "backend/doctor/io_uring_needs.h"
#include "backend/doctor/tool_checks.h"
#include "iouring/ring.h"
#include "tests/unit/fake_host.h"

#include "config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <memory>
#include <set>
#include <span>
#include <type_traits>
#include <vector>

namespace tapline::doctor {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr auto no_capability = "CapEff:\t0000000000000000\n";
constexpr auto mknod_only = "CapEff:\t0000000008000000\n";
constexpr auto net_admin_only = "CapEff:\t0000000000001000\n";

class DoctorHost : public testing::Test {
protected:
    DoctorHost() { fake_.write("/proc/sys/kernel/osrelease", "6.12.1-test\n"); }

    Check check(const std::string& name) const { return check_of(host_checks(fake_.host()), name); }

    FakeHost fake_;
};

struct Kernel {
    const char* release;
    State state;
};

class DoctorKernel : public DoctorHost, public testing::WithParamInterface<Kernel> {};

TEST_P(DoctorKernel, IsLimitedBelowWhatThePumpNeeds) {
    fake_.write("/proc/sys/kernel/osrelease", GetParam().release);
    EXPECT_EQ(check("kernel").state, GetParam().state);
    EXPECT_EQ(check("kernel").mend.empty(), GetParam().state == State::ok);
}

INSTANTIATE_TEST_SUITE_P(
    Releases, DoctorKernel,
    testing::Values(Kernel{"6.4.0\n", State::ok}, Kernel{"6.12.3-amd64\n", State::ok},
                    Kernel{"7.0-rc1\n", State::ok}, Kernel{"6.3.13\n", State::limited},
                    Kernel{"5.10.0-28-amd64\n", State::limited}, Kernel{"", State::limited}));

TEST_F(DoctorHost, MacvtapThatRunsIsFine) {
    fake_.write("/sys/class/macvtap/version", "");
    EXPECT_EQ(check("macvtap").state, State::ok);
    EXPECT_EQ(check("macvtap").detail, "built into the kernel");
}

TEST_F(DoctorHost, MacvtapOfTheKernelsOwnListIsFine) {
    fake_.write("/lib/modules/6.12.1-test/modules.builtin", "kernel/drivers/net/macvtap.ko\n");
    EXPECT_EQ(check("macvtap").detail, "built into the kernel");
}

TEST_F(DoctorHost, MacvtapThatIsLoadedIsFine) {
    fake_.write("/proc/modules", "tap 28672 1 macvtap, Live 0x0\nmacvtap 16384 0 - Live 0x0\n");
    fake_.write("/sys/class/macvtap/version", "");
    EXPECT_EQ(check("macvtap").detail, "a module, loaded");
}

TEST_F(DoctorHost, MacvtapThatCanBeLoadedIsFine) {
    fake_.write("/proc/modules", "");
    fake_.write("/lib/modules/6.12.1-test/modules.dep",
                "kernel/drivers/net/macvtap.ko.xz: kernel/drivers/net/tap.ko.xz\n");
    EXPECT_EQ(check("macvtap").state, State::ok);
    EXPECT_EQ(check("macvtap").detail, "a module, loaded when it is needed");
}

TEST_F(DoctorHost, WithoutMacvtapNothingWorks) {
    fake_.write("/proc/modules", "");
    fake_.write("/lib/modules/6.12.1-test/modules.dep",
                "kernel/net/other.ko: kernel/drivers/net/macvtap.ko\nkernel/xmacvtap.ko:\n");
    EXPECT_EQ(check("macvtap").state, State::broken);
    EXPECT_THAT(check("macvtap").detail, HasSubstr("absent"));
}

TEST_F(DoctorHost, ModulesThatCannotBeSeenShallBeLoadedByHand) {
    fake_.write("/proc/modules", "");
    for (const std::string module : {"macvtap", "macvlan"}) { // The kernel may load them itself.
        EXPECT_EQ(check(module).state, State::limited);
        EXPECT_EQ(check(module).mend, "modprobe " + module);
    }
}

TEST_F(DoctorHost, WithoutMacvlanThereIsNoHostLink) {
    EXPECT_EQ(check("macvlan").state, State::limited);
    EXPECT_THAT(check("macvlan").why, HasSubstr("host link"));
}

TEST_F(DoctorHost, MacvlanIsThereWhereMacvtapIs) {
    fake_.write("/sys/class/macvtap/version", "");
    EXPECT_EQ(check("macvlan").state, State::ok);
}

TEST_F(DoctorHost, IpvtapAndIpvlanAreOptional) {
    for (const char* module : {"ipvtap", "ipvlan"}) {
        EXPECT_EQ(check(module).state, State::ok);
        EXPECT_EQ(check(module).detail, "absent from this kernel; optional");
    }
}

TEST_F(DoctorHost, VhostNetThatCanBeUsedIsFine) {
    fake_.write("/dev/vhost-net", "");
    EXPECT_EQ(check("vhost-net").state, State::ok);
}

TEST_F(DoctorHost, VhostNetThatCanBeLoadedIsOneCommandAway) {
    fake_.write("/lib/modules/6.12.1-test/modules.dep", "kernel/drivers/vhost/vhost_net.ko:\n");
    EXPECT_EQ(check("vhost-net").state, State::limited);
    EXPECT_EQ(check("vhost-net").mend, "modprobe vhost_net");
}

TEST_F(DoctorHost, DevtmpfsShowsNodesByItself) {
    fake_.write("/proc/self/mountinfo",
                "20 1 0:5 / / rw - ext4 /dev/vda rw\n"
                "24 20 0:6 / /dev rw,relatime shared:2 - devtmpfs devtmpfs rw,mode=755\n");
    EXPECT_EQ(check("device-nodes").state, State::ok);
}

TEST_F(DoctorHost, ContainersMakeNodesThemselves) {
    fake_.write("/proc/self/status", mknod_only);
    fake_.write("/proc/self/mountinfo", "24 20 0:6 / /dev rw - devtmpfs devtmpfs rw\n"
                                        "30 20 0:9 / /dev rw - tmpfs tmpfs rw\n");
    EXPECT_EQ(check("device-nodes").state, State::limited);
    EXPECT_THAT(check("device-nodes").detail, StartsWith("/dev is tmpfs"));
}

TEST_F(DoctorHost, ContainersThatMayNotMakeNodesAreBroken) {
    fake_.write("/proc/self/status", no_capability);
    fake_.write("/proc/self/mountinfo", "30 20 0:9 / /dev rw - tmpfs tmpfs rw\n");
    EXPECT_EQ(check("device-nodes").state, State::broken);
    EXPECT_THAT(check("device-nodes").mend, HasSubstr("--cap-add=MKNOD"));
}

TEST_F(DoctorHost, DevicesAreMadeWithNetAdminOnly) {
    fake_.write("/proc/self/status", net_admin_only);
    EXPECT_EQ(check("net-admin").state, State::ok);
    fake_.write("/proc/self/status", mknod_only);
    EXPECT_EQ(check("net-admin").state, State::limited);
}

TEST_F(DoctorHost, RecordsNeedNotBeThereYet) {
    EXPECT_EQ(check("records").state, State::ok);
    EXPECT_THAT(check("records").detail, StartsWith("no /run/tapline yet"));
}

TEST_F(DoctorHost, RecordsThatOthersCanWriteAreNotTrusted) {
    fake_.write("/run/tapline/devices/00000001", "");
    fake_.set_mode("/run/tapline/devices", 0775);
    EXPECT_EQ(check("records").state, State::limited);
    EXPECT_THAT(check("records").mend, HasSubstr("chmod 755 /run/tapline/devices"));
}

TEST_F(DoctorHost, RecordsInAFolderThatOthersCanWriteAreNotTrusted) {
    fake_.write("/run/tapline/devices/00000001", "");
    fake_.set_mode("/run/tapline", 0777);
    EXPECT_EQ(check("records").state, State::limited);
    EXPECT_EQ(check("records").detail, "/run/tapline is not root's alone");
}

TEST_F(DoctorHost, RecordsNeedAFolder) {
    fake_.write("/run/tapline", "");
    EXPECT_EQ(check("records").state, State::limited);
    EXPECT_EQ(check("records").mend, "rm /run/tapline");
}

TEST_F(DoctorHost, RecordsOfRootAloneAreFine) {
    fake_.write(
        "/run/tapline/devices/00000001",
        R"({"parent":"eth0","network_namespace":1,"pid_namespace":1,"program":"x","pid":1})");
    fake_.set_mode("/run/tapline/devices", 0755);
    const bool belongs_to_root = geteuid() == 0;
    EXPECT_EQ(check("records").state, belongs_to_root ? State::ok : State::limited);
}

TEST_F(DoctorHost, HugepagesOfAllSizesCount) {
    EXPECT_THAT(check("hugepages").detail, StartsWith("none reserved"));
    fake_.write("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512\n");
    fake_.write("/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "2\n");
    EXPECT_EQ(check("hugepages").detail, "514 reserved");
    EXPECT_EQ(check("hugepages").state, State::ok);
}

TEST_F(DoctorHost, TheLimitOfLockedMemoryIsTold) {
    fake_.write("/proc/self/limits", "Limit                     Soft Limit           Hard Limit\n"
                                     "Max locked memory         8388608              unlimited\n");
    EXPECT_EQ(check("locked-memory").detail, "limit 8388608 bytes; the pump locks none");
}

class DoctorIoUring : public DoctorHost {
protected:
    Check access(const IoUringProbe& probe) const {
        return check_of(io_uring_checks(fake_.host(), probe), "io-uring");
    }
    void disable(const std::string& value) const {
        fake_.write("/proc/sys/kernel/io_uring_disabled", value + '\n');
    }
};

TEST_F(DoctorIoUring, IsFineWithAllThatThePumpUses) {
    EXPECT_EQ(worst_of(io_uring_checks(fake_.host(), {})), State::ok);
}

TEST_F(DoctorIoUring, SwitchedOffNamesTheSwitch) {
    disable("2");
    EXPECT_EQ(access({.error = EPERM}).state, State::limited);
    EXPECT_EQ(access({.error = EPERM}).mend, "sysctl kernel.io_uring_disabled=0");
}

TEST_F(DoctorIoUring, ForAGroupOnlyNamesTheGroupUnlessWeAreInIt) {
    disable("1");
    EXPECT_EQ(access({.error = EPERM}).state, State::limited);
    EXPECT_THAT(access({.error = EPERM}).mend, HasSubstr("io_uring_group"));
    EXPECT_EQ(access({}).state, State::ok);
}

TEST_F(DoctorIoUring, AbsentOrFilteredIsLimited) {
    disable("0");
    EXPECT_EQ(access({.error = ENOSYS}).state, State::limited);
    EXPECT_EQ(access({.error = EPERM}).state, State::limited);
    EXPECT_THAT(access({.error = EPERM}).detail, HasSubstr("Operation not permitted"));
    EXPECT_EQ(access({.error = ENOMEM}).mend, "ulimit -l unlimited");
}

TEST_F(DoctorIoUring, WhatIsMissingIsNamedAndHasNoFallback) {
    const auto checks = io_uring_checks(
        fake_.host(), {.missing = {"IORING_SETUP_DEFER_TASKRUN", "IORING_FEAT_CQE_SKIP"}});
    const Check features = check_of(checks, "io-uring-features");
    EXPECT_EQ(features.state, State::limited);
    EXPECT_EQ(features.detail, "without IORING_SETUP_DEFER_TASKRUN, IORING_FEAT_CQE_SKIP");
    EXPECT_THAT(features.why, HasSubstr("nothing to fall back to"));
}

// The real kernel.
TEST_F(DoctorIoUring, AgreesWithThePumpsOwnRing) {
    const IoUringProbe probe = probe_io_uring();
    bool pump_has_ring = true;
    try {
        const UniqueFd file(eventfd(0, EFD_CLOEXEC));
        tapline::Ring::create(file.get());
    } catch (const Error&) {
        pump_has_ring = false;
    }
    EXPECT_EQ(probe.error == 0 && probe.missing.empty(), pump_has_ring);
}

uint32_t all_of(std::span<const IoUringNeed> flags) {
    uint32_t bits = 0;
    for (const IoUringNeed& flag : flags) {
        bits |= flag.value;
    }
    return bits;
}

// What the pump uses is written down twice, as doctor cannot look into the pump. So the test does:
// a ring starts with liburing's description of it.
class PumpsRing : public testing::Test {
protected:
    PumpsRing()
        : file_(eventfd(0, EFD_CLOEXEC)),
          ring_(tapline::Ring::create(file_.get(), &held_)),
          inside_(*std::bit_cast<const io_uring*>(ring_.get())) {
        static_assert(std::is_standard_layout_v<tapline::Ring>);
        static_assert(sizeof(tapline::Ring) > sizeof(io_uring)); // It is the first member.
    }

    // Each kind of request the pump has; none is submitted.
    std::vector<io_uring_sqe> queue_each_request() {
        iovec parts[2]{};
        ring_->read_tap({parts, 1}, 0);
        ring_->read_tap(parts, 1);
        ring_->read_tap_slots(1);
        ring_->write_tap({parts, 1}, 0);
        ring_->write_tap(parts, 1);
        ring_->poll_tap();
        ring_->poll(file_.get(), TagKind::kick);
        ring_->signal(file_.get(), TagKind::call);
        std::vector<io_uring_sqe> entries;
        for (const unsigned number : std::span(inside_.sq.array, io_uring_sq_ready(&inside_))) {
            entries.push_back(inside_.sq.sqes[number]);
        }
        return entries;
    }

    UniqueFd file_;
    HeldFrames held_;
    std::unique_ptr<tapline::Ring> ring_;
    const io_uring& inside_;
};

TEST_F(PumpsRing, IsSetUpWithTheFlagsThatDoctorProbes) {
    EXPECT_EQ(inside_.flags, all_of(io_uring_setup_flags));
}

TEST_F(PumpsRing, HasTheOperationsThatDoctorProbes) {
    std::set<uint32_t> used;
    for (const io_uring_sqe& entry : queue_each_request()) {
        used.insert(entry.opcode);
    }
    std::set<uint32_t> probed;
    for (const IoUringNeed& operation : io_uring_operations) {
        probed.insert(operation.value);
    }
    EXPECT_EQ(used, probed);
}

TEST_F(PumpsRing, NeedsTheFeatureOfRequestsThatCompleteOnlyIfTheyFail) {
    const auto entries = queue_each_request();
    EXPECT_EQ(std::ranges::any_of(entries,
                                  [](const io_uring_sqe& entry) {
                                      return (entry.flags & IOSQE_CQE_SKIP_SUCCESS) != 0;
                                  }),
              (all_of(io_uring_features) & IORING_FEAT_CQE_SKIP) != 0);
}

TEST_F(DoctorHost, QemuIsNamedWithItsVersion) {
    const Tools tools{.qemu = {.version = "QEMU emulator version 10.0.2"}};
    const Check qemu = check_of(tool_checks(fake_.host(), tools), "qemu");
    EXPECT_EQ(qemu.state, State::ok);
    EXPECT_EQ(qemu.detail, "QEMU emulator version 10.0.2, without KVM");
}

TEST_F(DoctorHost, QemuThatCrashesWithoutKvmIsLimited) {
    const Tools tools{.qemu = {.version = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)"}};
    EXPECT_THAT(check_of(tool_checks(fake_.host(), tools), "qemu").mend, HasSubstr("vectors=0"));
    fake_.write("/dev/kvm", "");
    EXPECT_EQ(check_of(tool_checks(fake_.host(), tools), "qemu").state, State::ok);
}

TEST_F(DoctorHost, WithoutQemuNoGuestRuns) {
    EXPECT_EQ(check_of(tool_checks(fake_.host(), {}), "qemu").state, State::limited);
}

TEST_F(DoctorHost, ProgramsThatDoNotAnswerAreNamed) {
    const Tools tools{.qemu = {.hanging = "qemu-kvm"}, .libvirt = {.hanging = "libvirtd"}};
    const Check qemu = check_of(tool_checks(fake_.host(), tools), "qemu");
    EXPECT_EQ(qemu.state, State::limited);
    EXPECT_THAT(qemu.detail, StartsWith("qemu-kvm did not tell its version within"));
    const Check libvirt = check_of(tool_checks(fake_.host(), tools), "libvirt");
    EXPECT_EQ(libvirt.state, State::ok);
    EXPECT_THAT(libvirt.detail, StartsWith("libvirtd did not tell its version within"));
}

TEST_F(DoctorHost, LibvirtIsOptional) {
    EXPECT_EQ(check_of(tool_checks(fake_.host(), {}), "libvirt").state, State::ok);
}

TEST_F(DoctorHost, OurHookIsFoundWhereLibvirtLooks) {
    const auto hook = [&] {
        return check_of(tool_checks(fake_.host(), {}), "libvirt-hook").detail;
    };
    fake_.write("/etc/libvirt/hooks/qemu", "#!/bin/sh\nother \"$@\"\n");
    EXPECT_THAT(hook(), StartsWith("not installed"));
    fake_.write("/etc/libvirt/hooks/qemu", "#!/bin/sh\ntapline hook \"$@\"\n");
    EXPECT_EQ(hook(), "installed");
    fake_.write("/etc/libvirt/hooks/qemu", "");
    fake_.write("/etc/libvirt/hooks/qemu.d/tapline", "");
    EXPECT_EQ(hook(), "installed");
}

TEST_F(DoctorHost, HelperIsTheUsersOnlyWithRightsOfItsOwn) {
    const auto helper = [&] { return check_of(tool_checks(fake_.host(), {}), "helper").detail; };
    const std::string program = TAPLINE_LIBEXEC "/tapline-helper";
    EXPECT_EQ(helper(), "not installed; optional");
    fake_.write(program, "");
    EXPECT_EQ(helper(), "without rights of its own: for root only");
    fake_.set_mode(program, 04755);
    EXPECT_THAT(helper(), StartsWith(geteuid() == 0 ? "setuid root" : "without rights"));
}

} // namespace
} // namespace tapline::doctor
