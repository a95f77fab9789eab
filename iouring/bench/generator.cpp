#include "iouring/bench/generator.h"

#include "backend/base/error.h"
#include "iouring/bench/packet_socket.h"

#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>

namespace tapline::bench {
namespace {

constexpr size_t burst_bytes_max = 60000;
constexpr int send_buffer_bytes = 64 << 20; // What waits in the tap queue counts.

template <typename T> void set(int socket, int level, int name, const T& value) {
    if (setsockopt(socket, level, name, &value, sizeof value) < 0) {
        throw Error::from_errno("set up a packet socket to send bursts");
    }
}

} // namespace

Generator::Generator(const Plan& plan)
    : socket_(open_packet_socket(plan.interface, 0)), first_number_(plan.first_number) {
    const int on = 1;
    set(socket_.get(), SOL_PACKET, PACKET_VNET_HDR, on);
    set(socket_.get(), SOL_PACKET, PACKET_QDISC_BYPASS, on);
    set(socket_.get(), SOL_SOCKET, SO_SNDBUFFORCE, send_buffer_bytes);

    std::map<size_t, size_t> parts_of_mix; // Of a burst, all frames but the last are of one size.
    for (const size_t bytes : plan.mix.sizes) {
        ++parts_of_mix[bytes];
    }
    const size_t repeats = std::max<size_t>(1, plan.burst / plan.mix.sizes.size());
    for (uint16_t flow = 0; flow < plan.flows; ++flow) {
        for (const auto& [bytes, parts] : parts_of_mix) {
            const size_t fit = std::max<size_t>(1, burst_bytes_max / bytes);
            bursts_.push_back(make_burst(bytes, std::min(repeats * parts, fit), plan.path, flow));
            frame_bytes_.push_back(bytes);
        }
    }
}

unsigned Generator::send() {
    Burst& burst = bursts_[next_];
    for (size_t i = 0; i < burst.count; ++i) {
        set_number(burst.bytes.data() + short_vnet_header_bytes + i * burst.number_distance,
                   next_number() + static_cast<uint32_t>(i));
    }
    if (::send(socket_.get(), burst.bytes.data(), burst.bytes.size(), MSG_DONTWAIT) < 0) {
        if (errno == EAGAIN || errno == ENOBUFS) {
            return 0;
        }
        throw Error::from_errno("send a burst of frames on the wire");
    }
    sent_ += burst.count;
    bytes_sent_ += burst.count * frame_bytes_[next_];
    next_ = next_ + 1 == bursts_.size() ? 0 : next_ + 1;
    return static_cast<unsigned>(burst.count);
}

} // namespace tapline::bench
