#include "iouring/bench/front_end.h"

#include "backend/base/error.h"
#include "vhost/features.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>

namespace tapline::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using vhost::Request;

constexpr milliseconds patience{10000};
constexpr milliseconds between_tries{2};

bool wait_readable(int fd, milliseconds limit) {
    pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
    return poll(&watched, 1, static_cast<int>(limit.count())) == 1;
}

} // namespace

FrontEnd FrontEnd::connect(const std::string& path, int process) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto until = steady_clock::now() + patience;
    while (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) <
           0) {
        const int code = errno;
        const bool ended = wait_readable(process, between_tries);
        if (ended || steady_clock::now() > until) {
            throw Error({.operation = fmt::format("connect to the backend at '{}'", path),
                         .cause = ended ? "it has ended" : "it does not listen there",
                         .code = code});
        }
    }
    return FrontEnd(std::move(socket));
}

void FrontEnd::send(Request request, std::span<const std::byte> payload, std::span<const int> fds) {
    vhost::Header header{.request = static_cast<uint32_t>(request),
                         .flags = vhost::version,
                         .size = static_cast<uint32_t>(payload.size())};
    std::array<iovec, 2> parts{
        {{.iov_base = &header, .iov_len = sizeof header},
         {.iov_base = const_cast<std::byte*>(payload.data()), .iov_len = payload.size()}}};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
    if (!fds.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
    }
    if (sendmsg(socket_.get(), &message, MSG_NOSIGNAL) < 0) {
        throw Error::from_errno(fmt::format("send request {} to the backend", header.request));
    }
}

uint64_t FrontEnd::ask(Request request) {
    send(request, {});
    struct {
        vhost::Header header;
        std::array<std::byte, sizeof(uint64_t)> payload;
    } answer{};
    constexpr size_t bytes = sizeof answer;
    if (!wait_readable(socket_.get(), patience) ||
        recv(socket_.get(), &answer, bytes, MSG_WAITALL) != static_cast<ssize_t>(bytes)) {
        throw Error({.operation = fmt::format("ask the backend for request {}",
                                              static_cast<uint32_t>(request)),
                     .cause = "no answer came"});
    }
    const bool fits = answer.header.request == static_cast<uint32_t>(request) &&
                      (answer.header.flags & vhost::flag_reply) != 0 &&
                      answer.header.size == sizeof(uint64_t);
    if (!fits) {
        throw Error({.operation = fmt::format("ask the backend for request {}",
                                              static_cast<uint32_t>(request)),
                     .cause = "what came is no answer to it"});
    }
    uint64_t value = 0;
    std::memcpy(&value, answer.payload.data(), sizeof value);
    return value;
}

uint64_t FrontEnd::offered_features() {
    return ask(Request::get_features);
}

void FrontEnd::start(uint64_t features, const GuestRam& ram, std::span<const SharedRing> rings) {
    const bool negotiates = has(offered_features(), vhost::Feature::protocol_features);
    if (negotiates) {
        const uint64_t offered = ask(Request::get_protocol_features);
        send(Request::set_protocol_features, offered & vhost::protocol_feature_mq);
        features |= bit(vhost::Feature::protocol_features);
    }
    send(Request::set_owner, {});
    send(Request::set_features, features);
    vhost::MemoryTable table{};
    table.count = 1;
    table.regions[0] = ram.region();
    const int memory = ram.fd();
    send(Request::set_mem_table,
         std::as_bytes(std::span(&table, 1))
             .first(offsetof(vhost::MemoryTable, regions) + sizeof(vhost::MemoryRegion)),
         {&memory, 1});
    for (uint32_t index = 0; index < rings.size(); ++index) {
        start_ring(index, rings[index]);
    }
    for (uint32_t index = 0; negotiates && index < rings.size(); ++index) {
        send(Request::set_vring_enable, vhost::VringState{.index = index, .num = 1});
    }
    (void)offered_features(); // Messages are handled in order: with the answer all rings run.
}

void FrontEnd::start_ring(uint32_t index, const SharedRing& shared) {
    const auto with_fd = [&](Request request, int fd) {
        const uint64_t payload = index;
        send(request, std::as_bytes(std::span(&payload, 1)), {&fd, 1});
    };
    send(Request::set_vring_num, vhost::VringState{.index = index, .num = shared.ring.size()});
    send(Request::set_vring_base, vhost::VringState{.index = index, .num = shared.ring.base()});
    send(Request::set_vring_addr, shared.ring.addresses(index));
    with_fd(Request::set_vring_call, shared.call);
    with_fd(Request::set_vring_kick, shared.kick);
}

} // namespace tapline::bench
