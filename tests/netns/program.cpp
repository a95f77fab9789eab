#include "tests/netns/program.h"

#include "tests/fakes/front_end.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace tapline::netns {
namespace {

struct Pipe {
    UniqueFd read;
    UniqueFd write;
};

Pipe make_pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) < 0) {
        throw std::runtime_error("no pipe");
    }
    return {.read = UniqueFd(ends[0]), .write = UniqueFd(ends[1])};
}

std::string read_some(int fd) {
    std::array<char, 4096> bytes{};
    const ssize_t count = read(fd, bytes.data(), bytes.size());
    return {bytes.data(), count > 0 ? static_cast<size_t>(count) : 0};
}

std::string read_all(int fd) {
    std::string all;
    for (std::string some = read_some(fd); !some.empty(); some = read_some(fd)) {
        all += some;
    }
    return all;
}

std::filesystem::path program_folder() {
    const char* named = std::getenv("TAPLINE_PROGRAM_DIR");
    return named != nullptr ? named : PROGRAM_DIR;
}

} // namespace

std::string program_path(const std::string& path) {
    return program_folder() / path;
}

bool programs_are_of(const std::string& build) {
    return program_folder().filename() == build;
}

Program::Program(const std::string& path, std::vector<std::string> arguments,
                 std::vector<int> fds) {
    Pipe output = make_pipe();
    Pipe errors = make_pipe();
    const std::string program = program_path(path);
    arguments.insert(arguments.begin(), program);
    std::vector<char*> argv;
    std::ranges::transform(arguments, std::back_inserter(argv),
                           [](std::string& argument) { return argument.data(); });
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(output.write.get(), STDOUT_FILENO);
        dup2(errors.write.get(), STDERR_FILENO);
        for (const int fd : fds) {
            fcntl(fd, F_SETFD, 0);
        }
        execv(program.c_str(), argv.data());
        _exit(127);
    }
    pidfd_ = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
    output_ = std::move(output.read);
    errors_ = std::move(errors.read);
}

Program::~Program() {
    if (pid_ > 0) {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
}

std::string Program::next_line() {
    while (true) {
        if (const auto end = pending_.find('\n'); end != std::string::npos) {
            std::string line = pending_.substr(0, end);
            pending_.erase(0, end + 1);
            return line;
        }
        if (!fakes::wait_readable(output_.get())) {
            throw std::runtime_error("the program says nothing");
        }
        const std::string some = read_some(output_.get());
        if (some.empty()) {
            throw std::runtime_error("the program has ended: " + errors());
        }
        pending_ += some;
    }
}

nlohmann::json Program::wait_for(const std::string& event) {
    while (true) {
        auto status = nlohmann::json::parse(next_line());
        if (status.at("event") == event) {
            return status;
        }
    }
}

void Program::signal(int number) {
    kill(pid_, number);
}

int Program::wait() {
    if (!fakes::wait_readable(pidfd_.get())) {
        throw std::runtime_error("the program does not end");
    }
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string Program::output() {
    return std::exchange(pending_, {}) + read_all(output_.get());
}

std::string Program::errors() {
    return read_all(errors_.get());
}

std::vector<pid_t> running(const std::string& program) {
    namespace fs = std::filesystem;
    std::vector<pid_t> found;
    const auto ours = fs::read_symlink("/proc/self/ns/net");
    for (const auto& entry : fs::directory_iterator("/proc")) {
        std::error_code gone;
        const auto name = fs::read_symlink(entry.path() / "exe", gone).filename().string();
        if (name.starts_with(program) && fs::read_symlink(entry.path() / "ns/net", gone) == ours) {
            pid_t pid = 0;
            std::ifstream(entry.path() / "stat") >> pid;
            found.push_back(pid);
        }
    }
    return found;
}

Outcome outcome_of(const std::string& path, const std::vector<std::string>& arguments,
                   const std::vector<int>& fds) {
    Program program(path, arguments, fds);
    const int status = program.wait();
    return {.status = status, .output = program.output(), .errors = program.errors()};
}

} // namespace tapline::netns
