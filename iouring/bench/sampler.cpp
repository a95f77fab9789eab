#include "iouring/bench/sampler.h"

#include "backend/base/error.h"
#include "iouring/bench/packet_socket.h"

#include <linux/filter.h>
#include <linux/if_ether.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace tapline::bench {
namespace {

constexpr uint32_t each = 16; // Frames, by number.

// Lets IPv4 frames through whose number is a multiple of `each`.
void set_filter(int socket) {
    constexpr uint32_t type_offset = 12;
    std::array<sock_filter, 7> filter = {{
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, type_offset),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number_offset),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, each - 1),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    }};
    const sock_fprog program{.len = filter.size(), .filter = filter.data()};
    if (setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0) {
        throw Error::from_errno("set the filter of a packet socket");
    }
}

} // namespace

Sampler::Sampler(int interface_index) : frame_(segment_bytes + 1) {
    socket_ = open_packet_socket(interface_index, ETH_P_ALL);
    set_filter(socket_.get());
    look(); // What came before the filter is none of the sample.
    inspector_ = {};
}

void Sampler::look() noexcept {
    for (;;) {
        const ssize_t bytes =
            recv(socket_.get(), frame_.data(), frame_.size(), MSG_DONTWAIT | MSG_TRUNC);
        if (bytes < 0) {
            return;
        }
        inspector_.look_at(
            std::span(frame_).first(std::min(static_cast<size_t>(bytes), frame_.size())));
    }
}

} // namespace tapline::bench
