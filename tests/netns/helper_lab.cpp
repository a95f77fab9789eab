#include "tests/netns/helper_lab.h"

#include "tests/fakes/front_end.h"

#include "config.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace tapline::netns {
namespace {

namespace fs = std::filesystem;

UniqueFd take_over(int process, int fd) {
    return UniqueFd(static_cast<int>(syscall(SYS_pidfd_getfd, process, fd, 0)));
}

std::string copy_with(const std::string& rights, const std::string& command) {
    std::string copy = "/run/helper-with-" + rights;
    if (!fs::exists(copy)) {
        fs::copy_file(program_path("backend/tapline-helper"), copy);
        run(fmt::format("{} {}", command, copy));
    }
    return copy;
}

// A copy of the folder in place of it, for this mount namespace alone.
void make_private(const fs::path& folder) {
    const std::string copy = "/run/private" + folder.string();
    run(fmt::format("mkdir -p {0} && cp -a {1}/. {0} && chmod 755 {0} && mount --bind {0} {1}",
                    copy, folder.string()));
}

void make_private_etc() {
    if (fs::exists("/run/private")) {
        return;
    }
    run("install -d -m 755 /run/tapline/devices"); // As systemd-tmpfiles does.
    make_private("/etc");
    const fs::path folder(TAPLINE_SYSCONF);
    if (const fs::path parent = folder.parent_path(); parent != "/etc") {
        make_private(parent);
    }
    run("echo 'alice:x:54321:54321::/:/bin/false' >> /etc/passwd");
    run("echo 'bob:x:54322:54322::/:/bin/false' >> /etc/passwd");
    run("echo 'alice:x:54321:' >> /etc/group && echo 'bob:x:54322:' >> /etc/group");
    run("echo 'vm:x:54400:alice' >> /etc/group");
}

} // namespace

AskingProcess::AskingProcess() {
    std::array<int, 2> pipe_ends{};
    if (pipe(pipe_ends.data()) < 0) {
        throw std::runtime_error("no pipe");
    }
    const UniqueFd read_end(pipe_ends[0]);
    const UniqueFd write_end(pipe_ends[1]);
    std::array<int, 2> sockets{};
    pid_ = fork();
    if (pid_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const bool told = socketpair(AF_UNIX, SOCK_STREAM, 0, sockets.data()) == 0 &&
                          write(write_end.get(), sockets.data(), sizeof sockets) == sizeof sockets;
        while (told) {
            pause();
        }
        _exit(1);
    }
    if (read(read_end.get(), sockets.data(), sizeof sockets) != sizeof sockets) {
        throw std::runtime_error("no socket pair");
    }
    const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
    our_end_ = take_over(process.get(), sockets[0]);
    helpers_end_ = take_over(process.get(), sockets[1]);
}

void AskingProcess::end() {
    if (pid_ > 0) {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }
}

AskingProcess::Received AskingProcess::receive() {
    Received received;
    // The process itself has a copy of the helper's end, so the stream does not end by itself.
    while (fakes::wait_readable(our_end_.get(), std::chrono::milliseconds(0))) {
        std::array<char, 16> bytes{};
        iovec data{.iov_base = bytes.data(), .iov_len = bytes.size()};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(8 * sizeof(int))> control{};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const ssize_t count = recvmsg(our_end_.get(), &message, MSG_CMSG_CLOEXEC);
        if (count <= 0) {
            break;
        }
        received.bytes += static_cast<size_t>(count);
        const cmsghdr* header = CMSG_FIRSTHDR(&message);
        for (size_t i = 0; header != nullptr && CMSG_LEN((i + 1) * sizeof(int)) <= header->cmsg_len;
             ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            received.fds.emplace_back(fd);
        }
    }
    return received;
}

HelperLab::HelperLab() {
    make_private_etc();
    fs::remove_all(TAPLINE_SYSCONF);
    fs::create_directory(TAPLINE_SYSCONF);
    write_access_file("allow alice uplink bridge\n");
}

std::string HelperLab::access_file() {
    return TAPLINE_SYSCONF "/access.conf";
}

void HelperLab::write_access_file(const std::string& text) {
    std::ofstream(access_file()) << text;
    chmod(access_file().c_str(), S_IRUSR | S_IWUSR);
}

std::string HelperLab::with_capabilities() {
    return copy_with("capabilities", "setcap cap_net_admin,cap_dac_override+ep");
}

std::string HelperLab::with_setuid() {
    return copy_with("setuid", "chmod 4755");
}

std::string HelperLab::with_nothing() {
    return copy_with("nothing", "chmod 755");
}

Outcome HelperLab::run_as(uid_t user, const std::string& program,
                          const std::vector<std::string>& arguments, int fd) {
    std::vector<std::string> all = {fmt::format("--reuid={}", user),
                                    fmt::format("--regid={}", user), "--clear-groups", program};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return outcome_of("/usr/bin/setpriv", all, fd < 0 ? std::vector<int>() : std::vector{fd});
}

Outcome HelperLab::ask(const std::vector<std::string>& options, uid_t user,
                       const std::string& program) {
    std::vector<std::string> arguments = options;
    const int fd = asking_.helpers_end().get();
    arguments.emplace_back("--use-vnet");
    arguments.push_back(fmt::format("--fd={}", fd));
    return with_a_free_node([&] { return run_as(user, program, arguments, fd); });
}

Outcome HelperLab::with_a_free_node(const std::function<Outcome()>& attempt) {
    constexpr int attempts_max = 200;
    Outcome outcome = attempt();
    for (int i = 1; i < attempts_max && outcome.errors.find("CAP_MKNOD") != std::string::npos;
         ++i) {
        outcome = attempt();
    }
    return outcome;
}

std::vector<pid_t> watchers() {
    return running("helper-with-");
}

} // namespace tapline::netns
