#include "iouring/bench/process_backend.h"

#include "backend/base/error.h"
#include "iouring/bench/cpu_time.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <csignal>

namespace tapline::bench {
namespace {

constexpr int patience_ms = 5000;
constexpr off_t last_words_bytes = 500;

} // namespace

ProcessBackend::ProcessBackend(std::vector<std::string> command, const std::string& socket_path)
    : output_(memfd_create("output", MFD_CLOEXEC)),
      process_(ChildProcess::start({.arguments = std::move(command),
                                    .fds = {},
                                    .output = output_.get(),
                                    .signal_at_end = SIGKILL})),
      front_end_(connect(socket_path)) {}

ProcessBackend::~ProcessBackend() {
    end();
}

FrontEnd ProcessBackend::connect(const std::string& socket_path) {
    try {
        return FrontEnd::connect(socket_path, process_.fd());
    } catch (const Error& error) {
        end();
        throw Error({.operation = "start a backend",
                     .cause = error.what(),
                     .next_step = fmt::format("it said: {}", last_words())});
    }
}

void ProcessBackend::end() noexcept {
    process_.signal(SIGTERM);
    pollfd ended{.fd = process_.fd(), .events = POLLIN, .revents = 0};
    if (poll(&ended, 1, patience_ms) != 1) {
        process_.signal(SIGKILL);
    }
    process_.wait();
}

std::string ProcessBackend::last_words() const {
    struct stat facts {};
    std::string words(last_words_bytes, '\0');
    if (fstat(output_.get(), &facts) < 0) {
        return {};
    }
    const off_t begin = std::max<off_t>(0, facts.st_size - last_words_bytes);
    const ssize_t count = pread(output_.get(), words.data(), words.size(), begin);
    words.resize(count > 0 ? static_cast<size_t>(count) : 0);
    while (words.ends_with('\n')) {
        words.pop_back();
    }
    return words;
}

uint64_t ProcessBackend::cpu_ns() const {
    pollfd ended{.fd = process_.fd(), .events = POLLIN, .revents = 0};
    if (poll(&ended, 1, 0) == 1) {
        throw Error({.operation = "measure a backend",
                     .cause = "it has ended",
                     .next_step = fmt::format("it said: {}", last_words())});
    }
    return cpu_ns_of_process(process_.pid());
}

} // namespace tapline::bench
