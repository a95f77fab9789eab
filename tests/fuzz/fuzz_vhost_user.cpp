// What a front end sends, in any pieces and with any descriptors, to a connection and session.
// Input: records of a byte with the kind of descriptors (2 bits: memory, socket, eventfd) and their
// number, one with the length, the bytes.
#include "tests/fakes/front_end.h"
#include "tests/fakes/guest_ram.h"
#include "tests/fakes/socket_pair.h"
#include "tests/fuzz/input.h"
#include "vhost/connection.h"
#include "vhost/protocol_error.h"
#include "vhost/session.h"
#include "vhost/virtqueue.h"

#include <array>

namespace tapline {
namespace {

using vhost::ProtocolError;

constexpr size_t fds_sent_max = 12; // More than a message may carry.

// As whoever runs the rings would: builds each one that runs.
void open_rings(vhost::Session& session) {
    static vhost::IovecList parts(vhost::chain_parts_max);
    for (uint16_t index = 0; index < session.rings().size(); ++index) {
        const vhost::Vring& ring = session.rings()[index];
        if (!session.ring_runs(index)) {
            continue;
        }
        try {
            if (!session.locate(ring)) {
                continue;
            }
            const auto queue = vhost::Virtqueue::make(ring, session.memory(), session.features(),
                                                      session.iotlb().get());
            static vhost::TranslationPort port;
            if (session.iotlb()) {
                queue->translate_with(*session.iotlb(), port);
            }
            parts.clear();
            vhost::Chain chain{};
            (void)queue->peek(parts, chain);
            while (const auto miss = port.take_miss()) {
                session.ask(*miss);
            }
        } catch (const ProtocolError&) {}
    }
}

// False: the session is over.
bool hear_all(vhost::Connection& connection, vhost::Session& session) {
    try {
        while (auto message = connection.receive()) {
            const auto pairs = session.affected_pairs(*message);
            fuzz::require(pairs.begin <= pairs.end && pairs.end <= 2);
            const vhost::Request request = message->request();
            try {
                if (const auto reply = session.handle(std::move(*message))) {
                    connection.reply(request, *reply);
                }
            } catch (const ProtocolError& error) {
                if (ends_session(error.fault())) {
                    return false;
                }
            }
            open_rings(session);
        }
    } catch (const ProtocolError&) {
        return false;
    }
    return !connection.closed();
}

void send(int socket, std::span<const std::byte> bytes, size_t fd_count, int fd) {
    std::array<int, fds_sent_max> fds;
    fds.fill(fd);
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof fds)> control{};
    iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (fd_count > 0) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        cmsghdr* rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        std::memcpy(CMSG_DATA(rights), fds.data(), sizeof(int) * fd_count);
    }
    (void)sendmsg(socket, &message, MSG_NOSIGNAL);
}

} // namespace
} // namespace tapline

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace tapline;
    static const fakes::GuestRam ram(1 << 20);
    static const UniqueFd event = fakes::make_eventfd();
    static const fakes::SocketPair channel(SOCK_STREAM); // Nobody reads the other end.
    fakes::SocketPair sockets(SOCK_STREAM);
    vhost::Connection connection(std::move(sockets.ours));
    vhost::Session session({.features = ~uint64_t{0}, .queue_pairs = 2, .mtu_max = 1500});
    fuzz::Input input(data, size);
    while (!input.empty()) {
        const auto choice = input.number<uint8_t>();
        const size_t fds = (choice & 0x3f) % (fds_sent_max + 1);
        const std::array kinds = {ram.fd(), channel.theirs.get(), event.get(), ram.fd()};
        const int fd = kinds[choice >> 6];
        const size_t length = input.number<uint8_t>();
        send(sockets.theirs.get(), input.bytes(length), fds, fd);
        if (!hear_all(connection, session)) {
            return 0;
        }
    }
    sockets.theirs.reset();
    hear_all(connection, session);
    return 0;
}
