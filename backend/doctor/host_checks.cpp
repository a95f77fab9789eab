#include "backend/doctor/host_checks.h"

#include "backend/base/error.h"
#include "backend/device_record.h"
#include "backend/doctor/version.h"

#include "config.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

namespace tapline::doctor {
namespace {

constexpr Version kernel_of_the_pump{6, 4}; // Taps learned IOCB_NOWAIT: f758bfec377a.
constexpr auto newer_kernel = "apt-get install -t bookworm-backports linux-image-amd64";

const char* to_text(ModuleState state) {
    switch (state) {
    case ModuleState::built_in:
        return "built into the kernel";
    case ModuleState::loaded:
        return "a module, loaded";
    case ModuleState::loadable:
        return "a module, loaded when it is needed";
    case ModuleState::absent:
        return "absent from this kernel";
    case ModuleState::unknown:
        return "not loaded, and the kernel's modules cannot be seen";
    }
    return "unknown";
}

bool is_there(ModuleState state) {
    return state != ModuleState::absent && state != ModuleState::unknown;
}

Check kernel_check(const Host& host) {
    const std::string release = host.kernel_release();
    const std::string detail = fmt::format("Linux {}", release.empty() ? "of no version" : release);
    if (version_in(release).value_or(Version{}) >= kernel_of_the_pump) {
        return {.name = "kernel", .state = State::ok, .detail = detail};
    }
    return {.name = "kernel",
            .state = State::limited,
            .detail = detail,
            .why = "the pump needs 6.4 or newer, where a tap reads and writes without waiting; "
                   "making devices and handing their queues to QEMU works",
            .mend = newer_kernel};
}

Check macvtap_check(const Host& host) {
    const ModuleState state = host.module("macvtap", "/sys/class/macvtap");
    if (is_there(state)) {
        return {.name = "macvtap", .state = State::ok, .detail = to_text(state)};
    }
    if (state == ModuleState::unknown) {
        return {.name = "macvtap",
                .state = State::limited,
                .detail = to_text(state),
                .why = "devices can be made only if the kernel has it and loads it when it is "
                       "needed",
                .mend = "modprobe macvtap"};
    }
    return {.name = "macvtap",
            .state = State::broken,
            .detail = to_text(state),
            .why = "every device of Tapline is a macvtap",
            .mend = newer_kernel};
}

// No macvtap runs without it.
Check macvlan_check(const Host& host) {
    const ModuleState state = host.module("macvlan", "/sys/class/macvtap");
    if (is_there(state)) {
        return {.name = "macvlan", .state = State::ok, .detail = to_text(state)};
    }
    return {.name = "macvlan",
            .state = State::limited,
            .detail = to_text(state),
            .why = "a host link is a macvlan: without one the host does not reach its guests",
            .mend = state == ModuleState::unknown ? "modprobe macvlan" : newer_kernel};
}

// sign: a path that is there while it runs.
Check optional_check(const Host& host, const char* module, const char* sign) {
    return {.name = module,
            .state = State::ok,
            .detail = fmt::format("{}; optional", to_text(host.module(module, sign)))};
}

Check vhost_net_check(const Host& host) {
    const std::string node = "/dev/vhost-net";
    const auto* const why =
        "QEMU that is handed a queue copies each frame itself, which is slower; the "
        "pump does not need it";
    if (host.may_use(node)) {
        return {.name = "vhost-net", .state = State::ok, .detail = node + " can be used"};
    }
    if (host.has(node)) {
        return {.name = "vhost-net",
                .state = State::limited,
                .detail = node + " may not be read and written",
                .why = why,
                .mend = "usermod --append --groups kvm \"$USER\""};
    }
    const ModuleState state = host.module("vhost_net", "/sys/class/misc/vhost-net");
    return {.name = "vhost-net",
            .state = State::limited,
            .detail = fmt::format("no {}; vhost_net is {}", node, to_text(state)),
            .why = why,
            .mend = state == ModuleState::absent ? newer_kernel : "modprobe vhost_net"};
}

Check device_nodes_check(const Host& host) {
    const std::string type = host.type_of_mount("/dev");
    if (type == "devtmpfs") {
        return {.name = "device-nodes",
                .state = State::ok,
                .detail = "/dev is devtmpfs: each /dev/tapN appears by itself"};
    }
    const std::string detail =
        fmt::format("/dev is {}: no /dev/tapN appears", type.empty() ? "a folder" : type);
    if (host.has_capability(CAP_MKNOD)) {
        return {.name = "device-nodes",
                .state = State::limited,
                .detail = detail,
                .why = "Tapline makes the node for the moment of opening it, which a container's "
                       "device rules may forbid; other programs find none",
                .mend = "docker run --device-cgroup-rule='c *:* rwm' ..."};
    }
    return {.name = "device-nodes",
            .state = State::broken,
            .detail = detail + ", and none can be made without CAP_MKNOD",
            .why = "the queues of a device are opened at its node",
            .mend = "docker run --cap-add=MKNOD --device-cgroup-rule='c *:* rwm' ..."};
}

Check net_admin_check(const Host& host) {
    if (host.has_capability(CAP_NET_ADMIN)) {
        return {.name = "net-admin", .state = State::ok, .detail = "CAP_NET_ADMIN is in effect"};
    }
    return {.name = "net-admin",
            .state = State::limited,
            .detail = "CAP_NET_ADMIN is not in effect",
            .why = "devices can be used but not made or deleted",
            .mend = "sudo tapline doctor"};
}

// Of a folder that can be trusted.
Check check_records_in(const Host& host, const std::string& folder) {
    Check check{.name = "records",
                .state = State::limited,
                .detail = {},
                .why = "nobody can tell from it who answers for a device"};
    try {
        const DeviceRecords records = host.device_records();
        const auto damaged = std::ranges::find_if(records.found, [](const RecordedDevice& record) {
            return record.damaged && record.state != RecordState::owned;
        });
        if (!records.strays.empty()) {
            check.detail = fmt::format("{} is no record of a device", records.strays.front());
            check.mend = fmt::format("rm -r {}", shell_word(records.strays.front()));
            return check;
        }
        if (damaged != records.found.end()) {
            check.detail = fmt::format("device record {:08x} is damaged", damaged->id);
            check.mend = "tapline reconcile";
            return check;
        }
    } catch (const Error& error) {
        if (error.code() != EACCES) { // Else this user does not know what they say.
            check.detail = error.what();
            check.mend = fmt::format("ls -l {}", folder);
            return check;
        }
    }
    return {
        .name = "records", .state = State::ok, .detail = fmt::format("{} is root's alone", folder)};
}

// As the code that writes records there asks; its first device makes the folder.
Check records_check(const Host& host) {
    constexpr auto folder = TAPLINE_RUNSTATE "/devices";
    for (const char* path : {TAPLINE_RUNSTATE, folder}) {
        const auto rights = host.rights(path);
        if (!rights) {
            return {.name = "records",
                    .state = State::ok,
                    .detail = fmt::format("no {} yet: root's first device makes it", path)};
        }
        Check broken{.name = "records",
                     .state = State::limited,
                     .detail = fmt::format("{} is no folder", path),
                     .why = "no device is made or reconciled: others could have one deleted",
                     .mend = fmt::format("rm {}", path)};
        if (!S_ISDIR(rights->mode)) {
            return broken;
        }
        if (rights->owner != 0 || (rights->mode & (S_IWGRP | S_IWOTH)) != 0) {
            broken.detail = fmt::format("{} is not root's alone", path);
            broken.mend = fmt::format("look who wrote what is in it, then "
                                      "chown 0:0 {0} && chmod 755 {0}",
                                      path);
            return broken;
        }
    }
    return check_records_in(host, folder);
}

Check hugepages_check(const Host& host) {
    const unsigned long pages = host.hugepages();
    return {.name = "hugepages",
            .state = State::ok,
            .detail = pages == 0 ? "none reserved; optional, shared memory works without"
                                 : fmt::format("{} reserved", pages)};
}

Check locked_memory_check(const Host& host) {
    constexpr std::string_view key = "Max locked memory";
    std::string limit = "of unknown size";
    for (const std::string& line : host.lines("/proc/self/limits")) {
        if (line.starts_with(key)) {
            const auto begin = line.find_first_not_of(' ', key.size());
            limit = line.substr(begin, line.find(' ', begin) - begin);
        }
    }
    return {.name = "locked-memory",
            .state = State::ok,
            .detail = fmt::format("limit {}{}; the pump locks none", limit,
                                  limit == "unlimited" ? "" : " bytes")};
}

} // namespace

Checks host_checks(const Host& host) {
    return {kernel_check(host),
            macvtap_check(host),
            macvlan_check(host),
            optional_check(host, "ipvtap", "/sys/class/ipvtap"),
            optional_check(host, "ipvlan", "/sys/class/ipvtap"), // No ipvtap runs without it.
            vhost_net_check(host),
            device_nodes_check(host),
            net_admin_check(host),
            records_check(host),
            hugepages_check(host),
            locked_memory_check(host)};
}

} // namespace tapline::doctor
