#include "iouring/bench/packet_socket.h"

#include "backend/base/error.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

namespace tapline::bench {

UniqueFd open_packet_socket(int index, uint16_t protocol) {
    UniqueFd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = index;
    address.sll_protocol = htons(protocol);
    if (!socket ||
        bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
        throw Error::from_errno("open a packet socket on the wire");
    }
    return socket;
}

} // namespace tapline::bench
