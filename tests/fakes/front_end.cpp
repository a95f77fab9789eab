#include "tests/fakes/front_end.h"

#include "tests/fakes/iommu.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace tapline::fakes {

using vhost::Request;

bool wait_readable(int fd, std::chrono::milliseconds limit) {
    pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
    return poll(&watched, 1, static_cast<int>(limit.count())) == 1;
}

UniqueFd make_eventfd() {
    return UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

namespace {

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

} // namespace

FrontEndListener::FrontEndListener(std::string path)
    : path_(std::move(path)), socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_un address = address_of(path_);
    if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
        listen(socket_.get(), 1) < 0) {
        throw std::runtime_error("cannot listen on " + path_);
    }
}

FrontEndListener::~FrontEndListener() {
    unlink(path_.c_str());
}

FrontEnd FrontEndListener::accept() {
    if (!wait_readable(socket_.get())) {
        throw std::runtime_error("no back end connects to " + path_);
    }
    return FrontEnd(UniqueFd(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
}

FrontEnd FrontEnd::connect(const std::string& path) {
    const sockaddr_un address = address_of(path);
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto until = std::chrono::steady_clock::now() + deadline;
    while (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) <
           0) {
        if (std::chrono::steady_clock::now() > until) {
            throw std::runtime_error("no back end listens on " + path);
        }
        std::this_thread::yield();
    }
    return FrontEnd(std::move(socket));
}

void FrontEnd::send(uint32_t request, std::span<const std::byte> payload, const Options& options) {
    vhost::Header header{
        .request = request,
        .flags = options.flags,
        .size = options.announced_size.value_or(static_cast<uint32_t>(payload.size()))};
    std::array<iovec, 2> parts{
        {{.iov_base = &header, .iov_len = sizeof header},
         {.iov_base = const_cast<std::byte*>(payload.data()), .iov_len = payload.size()}}};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    std::vector<std::byte> control(CMSG_SPACE(sizeof(int) * options.fds.size()));
    if (!options.fds.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int) * options.fds.size());
        std::memcpy(CMSG_DATA(rights), options.fds.data(), sizeof(int) * options.fds.size());
    }
    (void)sendmsg(fd(), &message, MSG_NOSIGNAL); // A back end that has closed is a test's business.
}

void FrontEnd::send_raw(std::span<const std::byte> bytes) {
    (void)::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

std::vector<std::byte> FrontEnd::receive(UniqueFd* fd) {
    const auto read_all = [this, fd](void* target, size_t bytes) {
        alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
        iovec part{.iov_base = target, .iov_len = bytes};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = fd != nullptr ? control.size() : 0;
        if (!wait_readable(this->fd()) ||
            recvmsg(this->fd(), &message, MSG_WAITALL | MSG_CMSG_CLOEXEC) !=
                static_cast<ssize_t>(bytes)) {
            throw std::runtime_error("no answer from the back end");
        }
        if (const cmsghdr* rights = CMSG_FIRSTHDR(&message); rights != nullptr) {
            int received = -1;
            std::memcpy(&received, CMSG_DATA(rights), sizeof received);
            fd->reset(received);
        }
    };
    vhost::Header header{};
    read_all(&header, sizeof header);
    if (header.flags != (vhost::version | vhost::flag_reply)) {
        throw std::runtime_error("the answer is not marked as one");
    }
    std::vector<std::byte> payload(header.size);
    if (!payload.empty()) {
        read_all(payload.data(), payload.size());
    }
    return payload;
}

bool FrontEnd::is_closed() {
    std::array<std::byte, 256> ignored{};
    while (wait_readable(fd())) {
        const ssize_t count = recv(fd(), ignored.data(), ignored.size(), 0);
        if (count == 0 || (count < 0 && errno == ECONNRESET)) {
            return true;
        }
    }
    return false;
}

void FrontEnd::share(const GuestRam& ram, Addresses addresses) {
    vhost::MemoryTable table{};
    table.count = 1;
    table.regions[0] = ram.region();
    if (addresses == Addresses::io_virtual) {
        translated_ = &ram;
        table.regions[0].guest_address += Iommu::shift;
    }
    send(static_cast<uint32_t>(Request::set_mem_table),
         std::as_bytes(std::span(&table, 1)).first(8 + sizeof(vhost::MemoryRegion)),
         {.fds = {ram.fd()}});
}

bool FrontEnd::add(const vhost::MemoryRegion& region, int fd) {
    return acknowledged(Request::add_mem_reg,
                        vhost::SingleMemoryRegion{.padding = 0, .region = region}, {fd}) == 0;
}

bool FrontEnd::remove(const vhost::MemoryRegion& region) {
    return acknowledged(Request::rem_mem_reg,
                        vhost::SingleMemoryRegion{.padding = 0, .region = region}) == 0;
}

FrontEnd::RingEvents FrontEnd::start_ring(uint32_t index, const DriverRing& ring, uint32_t base,
                                          Events kind) {
    RingEvents events;
    if (kind != Events::polling) {
        events = {.kick = make_eventfd(), .call = make_eventfd(), .error = make_eventfd()};
    }
    if (kind == Events::kicks_first) {
        send(Request::set_vring_kick, uint64_t{index}, {events.kick.get()});
    }
    send(Request::set_vring_num, vhost::VringState{.index = index, .num = ring.size()});
    if (kind != Events::kicks_first) {
        send(Request::set_vring_base, vhost::VringState{.index = index, .num = base});
    }
    vhost::VringAddresses at = ring.addresses(index);
    if (translated_ != nullptr) {
        for (uint64_t* each : {&at.descriptors, &at.available, &at.used}) {
            *each = translated_->guest_address(*each);
        }
    }
    send(Request::set_vring_addr, at);
    switch (kind) {
    case Events::polling:
        send(Request::set_vring_call, index | vhost::vring_fd_none);
        send(Request::set_vring_kick, index | vhost::vring_fd_none);
        break;
    case Events::kicks_first:
        send(Request::set_vring_base, vhost::VringState{.index = index, .num = base});
        send(Request::set_vring_call, uint64_t{index}, {events.call.get()});
        break;
    case Events::descriptors:
        send(Request::set_vring_call, uint64_t{index}, {events.call.get()});
        send(Request::set_vring_err, uint64_t{index}, {events.error.get()});
        send(Request::set_vring_kick, uint64_t{index}, {events.kick.get()});
        break;
    }
    return events;
}

void FrontEnd::enable_ring(uint32_t index, bool enabled) {
    send(Request::set_vring_enable, vhost::VringState{.index = index, .num = enabled ? 1u : 0u});
}

uint32_t FrontEnd::stop_ring(uint32_t index) {
    send(Request::get_vring_base, vhost::VringState{.index = index, .num = 0});
    return receive_as<vhost::VringState>().num;
}

} // namespace tapline::fakes
