#include "backend/doctor/io_uring_checks.h"

#include "backend/base/unique_fd.h"
#include "backend/doctor/io_uring_needs.h"

#include <fmt/format.h>
#include <glib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace tapline::doctor {
namespace {

constexpr size_t things_probed =
    std::size(io_uring_setup_flags) + std::size(io_uring_features) + std::size(io_uring_operations);

struct Ring {
    UniqueFd fd;
    uint32_t features;
};

Ring make_ring(uint32_t flags) {
    constexpr unsigned entries = 4;
    io_uring_params parameters{};
    parameters.flags = flags;
    parameters.cq_entries = (flags & IORING_SETUP_CQSIZE) != 0 ? 2 * entries : 0;
    UniqueFd fd(static_cast<int>(syscall(SYS_io_uring_setup, entries, &parameters)));
    return {.fd = std::move(fd), .features = parameters.features};
}

void add_missing_flags(std::vector<std::string>& missing) {
    uint32_t flags = 0;
    for (const auto& [flag, name] : io_uring_setup_flags) {
        if (make_ring(flags | flag).fd) {
            flags |= flag;
        } else {
            missing.emplace_back(name);
        }
    }
}

void add_missing_operations(int ring_fd, std::vector<std::string>& missing) {
    constexpr unsigned room = 256; // The kernel's own limit.
    const std::unique_ptr<io_uring_probe, decltype(&g_free)> probe(
        static_cast<io_uring_probe*>(
            g_malloc0(sizeof(io_uring_probe) + room * sizeof(io_uring_probe_op))),
        g_free);
    const bool answered =
        syscall(SYS_io_uring_register, ring_fd, IORING_REGISTER_PROBE, probe.get(), room) == 0;
    for (const auto& [operation, name] : io_uring_operations) {
        if (!answered || operation >= probe->ops_len ||
            (probe->ops[operation].flags & IO_URING_OP_SUPPORTED) == 0) {
            missing.emplace_back(name);
        }
    }
}

constexpr auto no_fallback = "the pump has nothing to fall back to and does not start; making "
                             "devices and handing their queues to QEMU works";

Check access_check(const Host& host, int error) {
    const std::string path = "/proc/sys/kernel/io_uring_disabled"; // Since Linux 6.6.
    const std::string text = host.line(path);
    if (text == "2") {
        return {.name = "io-uring",
                .state = State::limited,
                .detail = "switched off for all (kernel.io_uring_disabled is 2)",
                .why = no_fallback,
                .mend = "sysctl kernel.io_uring_disabled=0"};
    }
    if (error == ENOSYS) {
        return {.name = "io-uring",
                .state = State::limited,
                .detail = "absent from this kernel, or hidden by a seccomp filter",
                .why = no_fallback,
                .mend = "docker run --security-opt seccomp=unconfined ..."};
    }
    if (error != 0 && text == "1") {
        return {.name = "io-uring",
                .state = State::limited,
                .detail = "switched off for this process (kernel.io_uring_disabled is 1)",
                .why = no_fallback,
                .mend = "sysctl kernel.io_uring_group=\"$(id -g)\""};
    }
    if (error != 0) {
        return {.name = "io-uring",
                .state = State::limited,
                .detail = fmt::format("refused: {}", g_strerror(error)),
                .why = no_fallback,
                .mend = error == ENOMEM ? "ulimit -l unlimited"
                                        : "docker run --security-opt seccomp=unconfined ..."};
    }
    return {.name = "io-uring",
            .state = State::ok,
            .detail =
                text == "1" ? "there, for this process (kernel.io_uring_disabled is 1)" : "there"};
}

} // namespace

IoUringProbe probe_io_uring() {
    IoUringProbe probe;
    const Ring ring = make_ring(0);
    if (!ring.fd) {
        probe.error = errno;
        return probe;
    }
    add_missing_flags(probe.missing);
    for (const auto& [feature, name] : io_uring_features) {
        if ((ring.features & feature) == 0) {
            probe.missing.emplace_back(name);
        }
    }
    add_missing_operations(ring.fd.get(), probe.missing);
    return probe;
}

Checks io_uring_checks(const Host& host, const IoUringProbe& probe) {
    const Check access = access_check(host, probe.error);
    if (access.state != State::ok) {
        return {access};
    }
    if (probe.missing.empty()) {
        return {access,
                {.name = "io-uring-features",
                 .state = State::ok,
                 .detail = fmt::format("all {} that the pump uses", things_probed)}};
    }
    std::string names;
    for (const std::string& name : probe.missing) {
        names += (names.empty() ? "" : ", ") + name;
    }
    return {access,
            {.name = "io-uring-features",
             .state = State::limited,
             .detail = fmt::format("without {}", names),
             .why = no_fallback,
             .mend = "apt-get install -t bookworm-backports linux-image-amd64"}};
}

} // namespace tapline::doctor
