// What virtio headers promise and ask for, on a wire of MTU 1500: segmentation and checksums are
// done by whoever is left to do them, and nobody gets what he did not ask for.
#include "tests/netns/frames.h"
#include "tests/netns/packets.h"
#include "tests/netns/pump_lab.h"
#include "tests/netns/tap_guest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

namespace tapline::netns {
namespace {

using fakes::Guest;
using vhost::Feature;

constexpr uint64_t checksums = vhost::bits(Feature::csum, Feature::guest_csum);
constexpr uint64_t segmentation =
    vhost::bits(Feature::host_tso4, Feature::guest_tso4, Feature::host_tso6, Feature::guest_tso6);
constexpr uint16_t gso_size = 1440;
constexpr size_t frame_on_the_wire_max = 1514;
constexpr size_t gso_frame_max = 65535; // Of a veth: one byte less than gso_max_size.
constexpr size_t frame_max = 65549;

// TCP payload of a stream of bytes that never repeats within a frame.
Bytes stream_part(uint32_t sequence, size_t bytes) {
    Bytes part;
    for (size_t i = 0; i < bytes; ++i) {
        const size_t position = sequence + i;
        part.push_back(static_cast<std::byte>(position * 7 + position / 251));
    }
    return part;
}

Packet segment(Ip ip, uint32_t sequence, size_t frame_bytes) {
    Packet packet{.ip = ip, .checksum = Checksum::partial, .sequence = sequence, .payload = {}};
    packet.payload = stream_part(sequence, frame_bytes - packet.payload_offset());
    return packet;
}

Packet to_wire(Packet packet) {
    std::swap(packet.to, packet.from);
    return packet;
}

// Takes packets off a TCP stream, whole or segmented, until so many bytes are there.
template <typename Receive> void expect_stream(uint32_t sequence, size_t bytes, Receive receive) {
    for (size_t done = 0; done < bytes;) {
        const auto position = static_cast<uint32_t>(sequence + done);
        const Offloaded received = receive();
        const Packet packet = received.packet();
        ASSERT_EQ(packet.sequence, position);
        ASSERT_TRUE(packet.payload == stream_part(position, packet.payload.size()));
        ASSERT_FALSE(packet.payload.empty());
        done += packet.payload.size();
        ASSERT_LE(done, bytes);
    }
}

struct Wiring {
    std::string name;
    Ip ip;
    const char* set_up;
    bool segments; // The uplink cannot take more than its MTU.
    friend void PrintTo(const Wiring& wiring, std::ostream* out) { *out << wiring.name; }
};

class Offloads : public testing::TestWithParam<Wiring> {
protected:
    static constexpr size_t header_bytes = PumpLab::header_bytes;

    Offloads() { run(GetParam().set_up); }

    Offloaded next_at_station() {
        const auto received = lab_.station().receive(fakes::deadline);
        if (!received) {
            throw std::runtime_error("nothing more arrives at the station");
        }
        return Offloaded::from(*received, Station::header_bytes);
    }

    static Offloaded next_at(Guest& guest) {
        const auto received = guest.receive();
        if (!received) {
            throw std::runtime_error("nothing more arrives at the guest");
        }
        return Offloaded::from(*received, header_bytes);
    }

    static std::vector<size_t> sizes() {
        return {1600, 3000, 9014, 32000, 65000, gso_frame_max, frame_max};
    }

    PumpLab lab_;
};

TEST_P(Offloads, OfTcpFromTheGuestReachTheStationCompleteAndInOrder) {
    Guest guest = lab_.connect({.features = PumpLab::usual | checksums | segmentation});
    uint32_t sequence = 1;
    for (const size_t size : sizes()) {
        const Packet sent = to_wire(segment(GetParam().ip, sequence, size));
        ASSERT_TRUE(guest.send(offload(sent, gso_size).bytes(header_bytes)));
        expect_stream(sequence, sent.payload.size(), [&] {
            const Offloaded received = next_at_station();
            if (GetParam().segments) {
                EXPECT_LE(received.frame.size(), frame_on_the_wire_max);
                EXPECT_EQ(received.header.gso_type, VirtioHeader::whole);
                EXPECT_FALSE(received.header.wants_checksum());
            } else if (received.frame.size() > frame_on_the_wire_max) {
                EXPECT_EQ(received.header.gso_type, offload(sent, gso_size).header.gso_type);
                EXPECT_EQ(received.header.gso_size, gso_size);
            }
            return received;
        });
        sequence += static_cast<uint32_t>(sent.payload.size());
    }
    const auto counters = lab_.end().at("guest_to_wire");
    EXPECT_EQ(counters.at("frames"), sizes().size());
    EXPECT_TRUE(counters.at("dropped").empty()) << counters;
}

TEST_P(Offloads, OfUdpChecksumsFromTheGuestAreDoneByTheStation) {
    Guest guest = lab_.connect({.features = PumpLab::usual | checksums});
    Packet sent = to_wire({.ip = GetParam().ip,
                           .transport = Transport::udp,
                           .checksum = Checksum::partial,
                           .payload = stream_part(0, 777)});
    ASSERT_TRUE(guest.send(offload(sent, 0).bytes(header_bytes)));
    const Offloaded received = next_at_station();
    EXPECT_EQ(received.packet().payload, sent.payload);
    if (GetParam().segments) {
        EXPECT_FALSE(received.header.wants_checksum());
    }
}

TEST_P(Offloads, OfTcpReachAGuestWholeThatAskedForThem) {
    Guest guest = lab_.connect({.features = PumpLab::usual | checksums | segmentation});
    uint32_t sequence = 1;
    for (const size_t size : sizes()) {
        if (size > gso_frame_max) {
            continue; // The veth segments it.
        }
        const Packet sent = segment(GetParam().ip, sequence, size);
        const Offloaded whole = offload(sent, gso_size);
        lab_.station().send(whole.bytes(Station::header_bytes));
        const Offloaded received = next_at(guest);
        EXPECT_TRUE(received.frame == whole.frame) << "of " << size << " bytes";
        EXPECT_TRUE(received.header.wants_checksum());
        EXPECT_EQ(received.header.gso_type, whole.header.gso_type);
        EXPECT_EQ(received.header.gso_size, gso_size);
        EXPECT_EQ(received.header.checksum_start, whole.header.checksum_start);
        EXPECT_EQ(received.header.checksum_offset, whole.header.checksum_offset);
        constexpr size_t buffer = 1536;
        EXPECT_EQ(received.header.num_buffers, (header_bytes + size + buffer - 1) / buffer);
        sequence += static_cast<uint32_t>(sent.payload.size());
    }
}

class GuestsWithoutSegmentation : public Offloads {
protected:
    void expect_segments(uint64_t features) {
        Guest guest = lab_.connect({.features = features});
        uint32_t sequence = 1;
        for (const size_t size : sizes()) {
            const Packet sent = segment(GetParam().ip, sequence, size);
            lab_.station().send(offload(sent, gso_size).bytes(Station::header_bytes));
            expect_stream(sequence, sent.payload.size(), [&] {
                const Offloaded received = next_at(guest);
                EXPECT_LE(received.frame.size(), frame_on_the_wire_max);
                EXPECT_EQ(received.header.gso_type, VirtioHeader::whole);
                EXPECT_EQ(received.header.num_buffers, 1);
                if (!has(features, Feature::guest_csum)) {
                    EXPECT_FALSE(received.header.wants_checksum());
                }
                return received;
            });
            sequence += static_cast<uint32_t>(sent.payload.size());
        }
    }
};

TEST_P(GuestsWithoutSegmentation, GetSegmentsWithValidChecksums) {
    expect_segments(PumpLab::usual);
}

TEST_P(GuestsWithoutSegmentation, ButWithChecksumsGetSegments) {
    expect_segments(PumpLab::usual | checksums);
}

TEST_P(GuestsWithoutSegmentation, GetUdpWithAValidChecksum) {
    Guest guest = lab_.connect();
    const Packet sent{.ip = GetParam().ip,
                      .transport = Transport::udp,
                      .checksum = Checksum::partial,
                      .payload = stream_part(0, 1000)};
    lab_.station().send(offload(sent, 0).bytes(Station::header_bytes));
    const Offloaded received = next_at(guest);
    EXPECT_FALSE(received.header.wants_checksum());
    EXPECT_EQ(received.packet().payload, sent.payload);
}

// A session's offloads are its own: they do not outlive it.
TEST_P(GuestsWithoutSegmentation, GetSegmentsAlsoAfterAGuestThatTookThemWhole) {
    lab_.connect({.features = PumpLab::usual | checksums | segmentation}).front_end().close();
    lab_.session_end();
    expect_segments(PumpLab::usual);
}

constexpr const char* as_it_is = "true";
constexpr const char* no_offloads = "ethtool -K uplink tx off >/dev/null";

const auto wirings = testing::Values(Wiring{"Tcp4", Ip::v4, as_it_is, false},
                                     Wiring{"Tcp6", Ip::v6, as_it_is, false},
                                     Wiring{"Tcp4PlainUplink", Ip::v4, no_offloads, true},
                                     Wiring{"Tcp6PlainUplink", Ip::v6, no_offloads, true});
const auto name_of = [](const auto& test) { return test.param.name; };

INSTANTIATE_TEST_SUITE_P(Wires, Offloads, wirings, name_of);
INSTANTIATE_TEST_SUITE_P(Wires, GuestsWithoutSegmentation, wirings, name_of);

struct Lie {
    std::string name;
    void (*tell)(Offloaded&);
    friend void PrintTo(const Lie& lie, std::ostream* out) { *out << lie.name; }
};

class LyingHeaders : public testing::TestWithParam<Lie> {
protected:
    static Bytes lie() {
        Offloaded lying = offload(to_wire(segment(Ip::v4, 1, 3000)), gso_size);
        GetParam().tell(lying);
        return lying.bytes(PumpLab::header_bytes);
    }

    PumpLab lab_;
    Guest guest_ = lab_.connect({.features = PumpLab::usual | checksums | segmentation});
};

TEST_P(LyingHeaders, AreRefusedAndCountedAndTheNextFramePasses) {
    ASSERT_TRUE(guest_.send(lie()));
    expect_frames_pass(lab_.station(), guest_);
    const auto counters = lab_.end().at("guest_to_wire");
    EXPECT_EQ(counters.at("dropped"), nlohmann::json({{"refused_by_tap", 1}}));
    EXPECT_EQ(counters.at("frames"), 1);
    EXPECT_EQ(counters.at("bytes"), frame_bytes_min);
}

INSTANTIATE_TEST_SUITE_P(
    Lies, LyingHeaders,
    testing::Values(
        Lie{"HeadersLongerThanTheFrame", [](auto& lying) { lying.header.header_bytes = 4000; }},
        Lie{"HeadersLongerThanAny", [](auto& lying) { lying.header.header_bytes = 0xffff; }},
        Lie{"FrameShorterThanItsHeaders", [](auto& lying) { lying.frame.resize(53); }},
        Lie{"FrameWithoutIp", [](auto& lying) { lying.frame.resize(20); }},
        Lie{"SegmentsOfNoBytes", [](auto& lying) { lying.header.gso_size = 0; }},
        Lie{"SegmentsLongerThanTheFrame", [](auto& lying) { lying.header.gso_size = 0xffff; }},
        Lie{"SegmentsOfTheOtherIp",
            [](auto& lying) { lying.header.gso_type = VirtioHeader::tcp6; }},
        Lie{"SegmentsOfUdp", [](auto& lying) { lying.header.gso_type = 5; }},
        Lie{"CongestionOfNothing", [](auto& lying) { lying.header.gso_type = 0x80; }},
        Lie{"UnknownSegmentation", [](auto& lying) { lying.header.gso_type = 77; }},
        Lie{"ChecksumFromBeyondTheFrame", [](auto& lying) { lying.header.checksum_start = 3001; }},
        Lie{"ChecksumFromFarBeyond", [](auto& lying) { lying.header.checksum_start = 0xffff; }},
        Lie{"ChecksumBehindTheLastByte", [](auto& lying) { lying.header.checksum_start = 2999; }},
        Lie{"ChecksumIntoBeyondTheFrame",
            [](auto& lying) { lying.header.checksum_offset = 65000; }},
        Lie{"Everything",
            [](auto& lying) {
                std::ranges::fill(std::as_writable_bytes(std::span(&lying.header, 1)),
                                  std::byte{0xff});
            }}),
    name_of);

// The tap takes these; segments are made of them, or the device drops and counts them.
using OddHeaders = LyingHeaders;

TEST_P(OddHeaders, LeaveTheNextFrameAlone) {
    uint32_t number = 0;
    for (const char* uplink : {as_it_is, no_offloads}) {
        run(uplink);
        ASSERT_TRUE(guest_.send(lie()));
        const Bytes good = frame_to_wire(++number);
        ASSERT_TRUE(guest_.send(with_header(good, PumpLab::header_bytes)));
        ASSERT_TRUE(receive_with(lab_.station(), good)) << uplink;
    }
    const auto counters = lab_.end().at("guest_to_wire");
    EXPECT_EQ(counters.at("frames"), 4) << counters;
}

INSTANTIATE_TEST_SUITE_P(
    Lies, OddHeaders,
    testing::Values(Lie{"SegmentsOfOneByte", [](auto& lying) { lying.header.gso_size = 1; }},
                    Lie{"SegmentsWithoutChecksum", [](auto& lying) { lying.header.flags = 0; }},
                    Lie{"FragmentsOfUdp", [](auto& lying) { lying.header.gso_type = 3; }}),
    name_of);

} // namespace
} // namespace tapline::netns
