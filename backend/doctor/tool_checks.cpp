#include "backend/doctor/tool_checks.h"

#include "backend/doctor/version.h"
#include "backend/tool.h"

#include "config.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <algorithm>
#include <csignal>
#include <vector>

namespace tapline::doctor {
namespace {

constexpr Version qemu_that_crashes{7, 2};

constexpr auto seconds_to_answer = "5";

// By coreutils' timeout, which also ends what a hanging program has started.
Tool find_first(const std::vector<std::string>& programs) {
    constexpr int timed_out = 124;
    constexpr int killed = 128 + SIGKILL;
    for (const std::string& program : programs) {
        const auto answer =
            answer_of({"timeout", "-k", "1", seconds_to_answer, program, "--version"});
        if (answer && answer->status == 0) {
            return {.version = answer->output.substr(0, answer->output.find('\n'))};
        }
        if (answer && (answer->status == timed_out || answer->status == killed)) {
            return {.hanging = program};
        }
    }
    return {};
}

std::string what_hangs(const Tool& tool) {
    return fmt::format("{} did not tell its version within {} seconds", tool.hanging,
                       seconds_to_answer);
}

Check qemu_check(const Host& host, const Tool& tool) {
    if (!tool.hanging.empty()) {
        return {.name = "qemu",
                .state = State::limited,
                .detail = what_hangs(tool),
                .why = "it will not start a guest either",
                .mend = fmt::format("{} --version", tool.hanging)};
    }
    if (tool.version.empty()) {
        return {.name = "qemu",
                .state = State::limited,
                .detail = "not found",
                .why = "devices can be made, but no guest runs on them without a virtual machine "
                       "monitor",
                .mend = "apt-get install qemu-system-x86"};
    }
    const bool has_kvm = host.may_use("/dev/kvm");
    const std::string detail =
        fmt::format("{}, {} KVM", tool.version, has_kvm ? "with" : "without");
    if (version_in(tool.version) == qemu_that_crashes && !has_kvm) {
        return {.name = "qemu",
                .state = State::limited,
                .detail = detail,
                .why = "without KVM, QEMU 7.2 crashes with MSI-X on a vhost-user card",
                .mend = "qemu-system-x86_64 ... -device virtio-net-pci,vectors=0,..."};
    }
    return {.name = "qemu", .state = State::ok, .detail = detail};
}

// Optional, as all of libvirt: QEMU runs without it, and it runs devices that were made by hand.
Check libvirt_check(const Tool& tool) {
    return {.name = "libvirt",
            .state = State::ok,
            .detail = !tool.hanging.empty()  ? what_hangs(tool) + "; optional"
                      : tool.version.empty() ? "not found; optional"
                                             : tool.version};
}

bool has_hook(const Host& host) {
    const auto is_ours = [](const std::string& text) {
        return text.find("tapline") != std::string::npos;
    };
    return std::ranges::any_of(host.names_in("/etc/libvirt/hooks/qemu.d"), is_ours) ||
           std::ranges::any_of(host.lines("/etc/libvirt/hooks/qemu"), is_ours);
}

// Root runs it as it is installed; others only with rights of its own.
Check helper_check(const Host& host) {
    constexpr auto program = TAPLINE_LIBEXEC "/tapline-helper";
    const auto rights = host.rights(program);
    const char* detail = "without rights of its own: for root only";
    if (!rights) {
        detail = "not installed; optional";
    } else if (rights->has_capabilities) {
        detail = "with file capabilities";
    } else if (rights->owner == 0 && (rights->mode & S_ISUID) != 0) {
        detail = "setuid root";
    }
    return {.name = "helper", .state = State::ok, .detail = detail};
}

} // namespace

Tools find_tools() {
    utsname system{};
    uname(&system);
    return {.qemu = find_first({fmt::format("qemu-system-{}", system.machine), "qemu-kvm",
                                "/usr/libexec/qemu-kvm"}),
            .libvirt =
                find_first({"libvirtd", "virtqemud", "/usr/sbin/libvirtd", "/usr/sbin/virtqemud"})};
}

Checks tool_checks(const Host& host, const Tools& tools) {
    return {qemu_check(host, tools.qemu),
            libvirt_check(tools.libvirt),
            {.name = "libvirt-hook",
             .state = State::ok,
             .detail = has_hook(host) ? "installed"
                                      : "not installed; optional, without it devices and pumps "
                                        "are started by hand"},
            helper_check(host)};
}

} // namespace tapline::doctor
