// Both paths between a hostile guest and a wire, turn by turn on one thread.
// Input: ring sizes, format and features, sizes of the wire's frames, then the guest's memory.
#include "iouring/guest_to_wire.h"
#include "iouring/ring.h"
#include "iouring/wire_to_guest.h"
#include "tests/fakes/wire.h"
#include "tests/fuzz/ring_input.h"
#include "vhost/features.h"

#include <array>
#include <vector>

namespace tapline {
namespace {

using vhost::Feature;

constexpr unsigned turns_max = 6;
constexpr unsigned frames_from_wire = 4;
constexpr size_t transmit_ring_at = 1 << 13;

struct Shape {
    uint8_t receive_size_log;
    uint8_t transmit_size_log;
    uint8_t choice;
    uint8_t reserved;
    std::array<uint16_t, frames_from_wire> frames; // Bytes with the header.
};

// Lives as long as the process: an io_uring a run would be slow.
struct Station {
    Station() { ring->enable(); }

    // Whatever a run left in the tap or on the wire.
    void drain() {
        std::array<std::byte, 16> ignored;
        for (const int socket : {wire.tap_fd(), wire.far_fd()}) {
            while (recv(socket, ignored.data(), ignored.size(), MSG_DONTWAIT) >= 0) {}
        }
    }

    fakes::Wire wire;
    HeldFrames held;
    std::unique_ptr<Ring> ring = Ring::create(wire.tap_fd(), &held);
    fuzz::RingMemory memory;
    std::shared_ptr<const vhost::GuestMemory> mapped = memory.map();
    std::array<DirectionCounters, direction_count> counters;
};

// Lets the guest's frames pass as far as port security and a limit do.
std::unique_ptr<SendGate> make_gate(size_t header_bytes) {
    static const MacAddress own({0x52, 0x54, 0, 0, 0, 1});
    static const PortSecurity security(
        {.macs = {}, .addresses = {IpPrefix::parse_source("192.0.2.7")}}, own);
    static RateLimit limit(RateLimit::Rates::parse("1gbit,100kfps"), RateLimit::now());
    return std::make_unique<SendGate>(&security, &limit, header_bytes);
}

void turn(Ring& ring, GuestToWire& out, WireToGuest& in) {
    out.collect(ring);
    in.offer(ring);
    ring.submit();
    ring.for_each_completion([&](Tag tag, int32_t result, bool) {
        if (tag.kind() == TagKind::tap_read) {
            in.completed(tag.slot(), result);
        } else {
            out.refused(tag.slot(), result);
        }
    });
    out.publish();
    in.publish();
}

} // namespace
} // namespace tapline

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace tapline;
    static Station station;
    fuzz::Input input(data, size);
    const auto shape = input.number<Shape>();
    station.memory.fill(input.rest());
    const uint64_t features = ((shape.choice & 1) != 0 ? bit(Feature::event_idx) : 0) |
                              ((shape.choice & 2) != 0 ? bit(Feature::indirect_desc) : 0) |
                              ((shape.choice & 8) != 0 ? bit(Feature::ring_packed) : 0);
    const auto receive = vhost::Virtqueue::make(
        station.memory.ring(0, 1u << shape.receive_size_log % 9), station.mapped, features);
    const auto transmit = vhost::Virtqueue::make(
        station.memory.ring(transmit_ring_at, 1u << shape.transmit_size_log % 9), station.mapped,
        features);
    const WireToGuest::Format format{.header_bytes = (shape.choice & 4) != 0 ? 10u : 12u,
                                     .mergeable = (shape.choice & 4) == 0};
    GuestToWire out(*transmit, format.header_bytes, GuestToWire::Fate::send, station.counters[1],
                    (shape.choice & 16) != 0 ? make_gate(format.header_bytes) : nullptr);
    WireToGuest in(*receive, format, station.held, station.counters[0]);
    for (const uint16_t bytes : shape.frames) {
        if (bytes > 0) {
            station.wire.send(std::vector<std::byte>(bytes));
        }
    }
    for (unsigned i = 0; i < turns_max; ++i) {
        turn(*station.ring, out, in);
    }
    station.held.clear();
    station.drain();
    return 0;
}
