#include "backend/doctor/tool_checks.h"

#include "backend/doctor/tool.h"
#include "backend/doctor/version.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <vector>

namespace tapline::doctor {
namespace {

constexpr Version qemu_that_crashes{7, 2};

std::optional<std::string> version_of_first(const std::vector<std::string>& programs) {
    for (const std::string& program : programs) {
        const auto answer = answer_of({program, "--version"});
        if (answer && answer->succeeded) {
            return answer->output.substr(0, answer->output.find('\n'));
        }
    }
    return std::nullopt;
}

Check qemu_check(const Host& host, const std::optional<std::string>& version) {
    if (!version) {
        return {.name = "qemu",
                .state = State::limited,
                .detail = "not found",
                .why = "devices can be made, but no guest runs on them without a virtual machine "
                       "monitor",
                .mend = "apt-get install qemu-system-x86"};
    }
    const bool has_kvm = host.may_use("/dev/kvm");
    const std::string detail = fmt::format("{}, {} KVM", *version, has_kvm ? "with" : "without");
    if (version_in(*version) == qemu_that_crashes && !has_kvm) {
        return {.name = "qemu",
                .state = State::limited,
                .detail = detail,
                .why = "without KVM, QEMU 7.2 crashes with MSI-X on a vhost-user card",
                .mend = "qemu-system-x86_64 ... -device virtio-net-pci,vectors=0,..."};
    }
    return {.name = "qemu", .state = State::ok, .detail = detail};
}

bool has_hook(const Host& host) {
    const auto is_ours = [](const std::string& text) {
        return text.find("tapline") != std::string::npos;
    };
    return std::ranges::any_of(host.names_in("/etc/libvirt/hooks/qemu.d"), is_ours) ||
           std::ranges::any_of(host.lines("/etc/libvirt/hooks/qemu"), is_ours);
}

} // namespace

ToolVersions find_tools() {
    utsname system{};
    uname(&system);
    return {.qemu = version_of_first({fmt::format("qemu-system-{}", system.machine), "qemu-kvm",
                                      "/usr/libexec/qemu-kvm"}),
            .libvirt = version_of_first(
                {"libvirtd", "virtqemud", "/usr/sbin/libvirtd", "/usr/sbin/virtqemud"})};
}

// Both of libvirt are optional: QEMU runs without it, and it runs devices that were made by hand.
Checks tool_checks(const Host& host, const ToolVersions& tools) {
    return {qemu_check(host, tools.qemu),
            {.name = "libvirt",
             .state = State::ok,
             .detail = tools.libvirt.value_or("not found; optional")},
            {.name = "libvirt-hook",
             .state = State::ok,
             .detail = has_hook(host) ? "installed"
                                      : "not installed; optional, without it devices and pumps "
                                        "are started by hand"}};
}

} // namespace tapline::doctor
