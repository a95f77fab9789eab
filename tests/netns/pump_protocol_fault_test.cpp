// The pump against front ends that break the protocol: each mistake is refused by its name and
// counted, and the next guest is served.
#include "tests/netns/frames.h"
#include "tests/netns/pump_lab.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace tapline::netns {
namespace {

using fakes::FrontEnd;
using fakes::Guest;
using fakes::GuestRam;
using fakes::SplitDriverRing;
using vhost::Feature;
using vhost::MemoryRegion;
using vhost::Request;
using vhost::VringAddresses;
using vhost::VringState;

template <typename T> Bytes bytes_of(const T& value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    return {bytes.begin(), bytes.end()};
}

Bytes memory_table(const std::vector<MemoryRegion>& regions) {
    Bytes table = bytes_of(VringState{.index = static_cast<uint32_t>(regions.size()), .num = 0});
    for (const MemoryRegion& region : regions) {
        const Bytes bytes = bytes_of(region);
        table.insert(table.end(), bytes.begin(), bytes.end());
    }
    return table;
}

// What a front end owns, for messages to name.
struct Belongings {
    GuestRam ram{1 << 20};
    SplitDriverRing ring{ram, 64, true};
    UniqueFd event = fakes::make_eventfd();
    UniqueFd read_only = open_read_only();

private:
    UniqueFd open_read_only() const {
        const std::string path = "/proc/self/fd/" + std::to_string(ram.fd());
        return UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    }
};

struct Message {
    Request request;
    Bytes payload = {};
    std::vector<int> fds = {};
};

// How far a front end has come with ring 0.
enum class Stage { nothing, memory, configured, started };

void advance(FrontEnd& front_end, const Belongings& own, Stage stage) {
    if (stage == Stage::nothing) {
        return;
    }
    front_end.send(Request::set_features, PumpLab::usual | bit(Feature::protocol_features));
    front_end.share(own.ram);
    if (stage == Stage::memory) {
        return;
    }
    front_end.send(Request::set_vring_num, VringState{.index = 0, .num = own.ring.size()});
    front_end.send(Request::set_vring_addr, own.ring.addresses(0));
    front_end.enable_ring(0, true);
    if (stage == Stage::started) {
        front_end.send(Request::set_vring_kick, uint64_t{0}, {own.event.get()});
    }
}

// Well-formed messages, the last of which cannot be followed.
struct BadMessage {
    std::string name;
    const char* fault;
    Stage stage;
    std::function<std::vector<Message>(const Belongings&)> messages;
    friend void PrintTo(const BadMessage& bad, std::ostream* out) { *out << bad.name; }
};

class BadMessages : public testing::TestWithParam<BadMessage> {
protected:
    void expect_counted(const nlohmann::json& counters) {
        EXPECT_EQ(counters.at("protocol_errors"), nlohmann::json({{GetParam().fault, 1}}));
    }

    // All but the last, which is returned.
    Message lead_up(FrontEnd& front_end) {
        advance(front_end, own_, GetParam().stage);
        auto messages = GetParam().messages(own_);
        Message bad = messages.back();
        messages.pop_back();
        for (const Message& message : messages) {
            front_end.send(static_cast<uint32_t>(message.request), message.payload,
                           {.fds = message.fds});
        }
        return bad;
    }

    PumpLab lab_;
    Belongings own_;
};

TEST_P(BadMessages, EndTheSessionAndTheNextGuestIsServed) {
    FrontEnd front_end = FrontEnd::connect(lab_.socket());
    const Message bad = lead_up(front_end);
    front_end.send(static_cast<uint32_t>(bad.request), bad.payload, {.fds = bad.fds});
    EXPECT_TRUE(front_end.is_closed());
    expect_counted(lab_.session_end());
    Guest next = lab_.connect();
    expect_frames_pass(lab_.station(), next);
    expect_counted(lab_.end());
}

TEST_P(BadMessages, AreAcknowledgedAsRefusedAndTheSessionGoesOn) {
    FrontEnd front_end = FrontEnd::connect(lab_.socket());
    front_end.send(Request::set_protocol_features, vhost::protocol_feature_reply_ack);
    const Message bad = lead_up(front_end);
    front_end.send(static_cast<uint32_t>(bad.request), bad.payload,
                   {.flags = vhost::version | vhost::flag_need_reply, .fds = bad.fds});
    EXPECT_NE(front_end.receive_as<uint64_t>(), 0);
    const VringState base{.index = 1, .num = 77};
    EXPECT_EQ(front_end.acknowledged(Request::set_vring_base, base), 0);
    EXPECT_EQ(front_end.stop_ring(1), 77);
    front_end.close();
    expect_counted(lab_.session_end());
}

std::vector<Message> one(Request request, Bytes payload = {}, std::vector<int> fds = {}) {
    return {{request, std::move(payload), std::move(fds)}};
}

BadMessage wrong_size(const std::string& name, Request request, size_t bytes) {
    return {name, "wrong_payload_size", Stage::nothing,
            [=](const Belongings&) { return one(request, Bytes(bytes)); }};
}

BadMessage wrong_fds(const std::string& name, Request request, Bytes payload, size_t fds) {
    return {name, "wrong_fd_count", Stage::configured, [=](const Belongings& own) {
                return one(request, payload, std::vector<int>(fds, own.event.get()));
            }};
}

BadMessage no_eventfd(const std::string& name, Request request) {
    return {name, "wrong_fd_type", Stage::configured,
            [=](const Belongings& own) { return one(request, Bytes(8), {own.ram.fd()}); }};
}

BadMessage unknown(const std::string& name, uint32_t request) {
    return {name, "unknown_request", Stage::nothing,
            [=](const Belongings&) { return one(Request{request}, Bytes(8)); }};
}

BadMessage with_state(const std::string& name, const char* fault, Stage stage, Request request,
                      const VringState& state) {
    return {name, fault, stage, [=](const Belongings&) { return one(request, bytes_of(state)); }};
}

BadMessage bad_region(const std::string& name, std::function<void(MemoryRegion&)> spoil) {
    return {name, "memory_region", Stage::nothing, [=](const Belongings& own) {
                MemoryRegion region = own.ram.region();
                spoil(region);
                return one(Request::set_mem_table, memory_table({region}), {own.ram.fd()});
            }};
}

BadMessage bad_second_region(const std::string& name, std::function<void(MemoryRegion&)> move) {
    return {name, "memory_region", Stage::nothing, [=](const Belongings& own) {
                MemoryRegion first = own.ram.region();
                first.size /= 2;
                MemoryRegion second = first;
                second.guest_address += first.size;
                second.user_address += first.size;
                second.mmap_offset += first.size;
                move(second);
                return one(Request::set_mem_table, memory_table({first, second}),
                           {own.ram.fd(), own.ram.fd()});
            }};
}

// The region is fine, its descriptor is not.
BadMessage bad_file(const std::string& name, std::function<int(const Belongings&)> file) {
    return {name, "memory_region", Stage::nothing, [=](const Belongings& own) {
                return one(Request::set_mem_table, memory_table({own.ram.region()}), {file(own)});
            }};
}

BadMessage bad_address(const std::string& name, std::function<void(VringAddresses&)> spoil) {
    return {name, "ring_address", Stage::configured, [=](const Belongings& own) {
                VringAddresses addresses = own.ring.addresses(0);
                spoil(addresses);
                return std::vector<Message>{{Request::set_vring_addr, bytes_of(addresses)},
                                            {Request::set_vring_kick, Bytes(8), {own.event.get()}}};
            }};
}

constexpr uint64_t no_fd = vhost::vring_fd_none;

const auto name_of = [](const auto& test) { return test.param.name; };

INSTANTIATE_TEST_SUITE_P(
    Sizes, BadMessages,
    testing::Values(wrong_size("GetFeaturesWithPayload", Request::get_features, 8),
                    wrong_size("FeaturesShort", Request::set_features, 4),
                    wrong_size("FeaturesAbsent", Request::set_features, 0),
                    wrong_size("FeaturesLong", Request::set_features, 16),
                    wrong_size("AddressesShort", Request::set_vring_addr, 39),
                    wrong_size("StateLong", Request::set_vring_num, 12),
                    wrong_size("MemoryTableShort", Request::set_mem_table, 7),
                    BadMessage{
                        "MemoryTableWithoutItsRegions", "wrong_payload_size", Stage::nothing,
                        [](const Belongings& own) {
                            const VringState two_regions{.index = 2, .num = 0};
                            Bytes table = bytes_of(two_regions);
                            table.resize(table.size() + sizeof(MemoryRegion));
                            return one(Request::set_mem_table, table, {own.ram.fd(), own.ram.fd()});
                        }},
                    BadMessage{"MemoryTableOfFourBillion", "wrong_payload_size", Stage::nothing,
                               [](const Belongings&) {
                                   Bytes table = bytes_of(VringState{.index = ~0u, .num = 0});
                                   table.resize(vhost::payload_bytes_max);
                                   return one(Request::set_mem_table, table);
                               }}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Descriptors, BadMessages,
    testing::Values(
        wrong_fds("GetFeaturesWithOne", Request::get_features, {}, 1),
        wrong_fds("CallWithout", Request::set_vring_call, Bytes(8), 0),
        wrong_fds("CallWithTwo", Request::set_vring_call, Bytes(8), 2),
        wrong_fds("CallThatHasNoneWithOne", Request::set_vring_call, bytes_of(no_fd), 1),
        wrong_fds("ErrorWithout", Request::set_vring_err, Bytes(8), 0),
        wrong_fds("KickThatHasNoneWithOne", Request::set_vring_kick, bytes_of(no_fd), 1),
        no_eventfd("CallThatIsAFile", Request::set_vring_call),
        no_eventfd("ErrorThatIsAFile", Request::set_vring_err),
        no_eventfd("KickThatIsAFile", Request::set_vring_kick),
        BadMessage{"MemoryWithout", "wrong_fd_count", Stage::nothing,
                   [](const Belongings& own) {
                       return one(Request::set_mem_table, memory_table({own.ram.region()}));
                   }},
        BadMessage{"MemoryWithOneTooMany", "wrong_fd_count", Stage::nothing,
                   [](const Belongings& own) {
                       return one(Request::set_mem_table, memory_table({own.ram.region()}),
                                  {own.ram.fd(), own.ram.fd()});
                   }}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Requests, BadMessages,
    testing::Values(unknown("Zero", 0), unknown("SetConfig", 25), unknown("GpuSetSocket", 33),
                    unknown("Largest", ~0u),
                    BadMessage{"FeatureNotOffered", "unoffered_feature", Stage::nothing,
                               [](const Belongings&) {
                                   return one(Request::set_features, bytes_of(uint64_t{1} << 63));
                               }},
                    BadMessage{"ProtocolFeatureNotOffered", "unoffered_feature", Stage::nothing,
                               [](const Belongings&) {
                                   return one(Request::set_protocol_features,
                                              bytes_of(uint64_t{1} << 62));
                               }}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Order, BadMessages,
    testing::Values(with_state("SizeWhileStarted", "out_of_order", Stage::started,
                               Request::set_vring_num, {.index = 0, .num = 128}),
                    with_state("BaseWhileStarted", "out_of_order", Stage::started,
                               Request::set_vring_base, {.index = 0, .num = 1})),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Rings, BadMessages,
    testing::Values(with_state("SizeOfNoRing", "ring_index", Stage::memory, Request::set_vring_num,
                               {.index = 2, .num = 64}),
                    with_state("BaseOfNoRing", "ring_index", Stage::memory, Request::set_vring_base,
                               {.index = ~0u, .num = 0}),
                    with_state("GetBaseOfNoRing", "ring_index", Stage::memory,
                               Request::get_vring_base, {.index = 255, .num = 0}),
                    with_state("EnableNoRing", "ring_index", Stage::memory,
                               Request::set_vring_enable, {.index = 2, .num = 1}),
                    with_state("EnableTwice", "ring_index", Stage::memory,
                               Request::set_vring_enable, {.index = 0, .num = 2}),
                    with_state("BaseOver16Bits", "ring_index", Stage::memory,
                               Request::set_vring_base, {.index = 0, .num = 65536}),
                    BadMessage{"AddressesOfNoRing", "ring_index", Stage::memory,
                               [](const Belongings& own) {
                                   return one(Request::set_vring_addr,
                                              bytes_of(own.ring.addresses(2)));
                               }},
                    BadMessage{"CallOfNoRing", "ring_index", Stage::memory,
                               [](const Belongings& own) {
                                   return one(Request::set_vring_call, bytes_of(uint64_t{2}),
                                              {own.event.get()});
                               }},
                    with_state("SizeZero", "ring_size", Stage::memory, Request::set_vring_num,
                               {.index = 0, .num = 0}),
                    with_state("SizeNoPowerOfTwo", "ring_size", Stage::memory,
                               Request::set_vring_num, {.index = 0, .num = 100}),
                    with_state("SizeTooLarge", "ring_size", Stage::memory, Request::set_vring_num,
                               {.index = 0, .num = 65536})),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Addresses, BadMessages,
    testing::Values(bad_address("TableOutsideMemory", [](auto& at) { at.descriptors = 4096; }),
                    bad_address("TableUnaligned", [](auto& at) { at.descriptors += 8; }),
                    bad_address("AvailableRingOutsideMemory", [](auto& at) { at.available = 0; }),
                    bad_address("AvailableRingUnaligned", [](auto& at) { at.available += 1; }),
                    bad_address("UsedRingOutsideMemory", [](auto& at) { at.used = ~15ull; }),
                    bad_address("UsedRingUnaligned", [](auto& at) { at.used += 2; }),
                    bad_address("UsedRingBeyondTheEnd",
                                [](auto& at) { at.used = at.descriptors + (1 << 20) - 64; }),
                    BadMessage{"MemoryPulledFromUnderAStartedRing", "ring_address", Stage::started,
                               [](const Belongings& own) {
                                   MemoryRegion elsewhere = own.ram.region();
                                   elsewhere.user_address += 1ull << 40;
                                   return one(Request::set_mem_table, memory_table({elsewhere}),
                                              {own.ram.fd()});
                               }}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Memory, BadMessages,
    testing::Values(
        bad_region("Empty", [](auto& region) { region.size = 0; }),
        bad_region("LargerThanItsFile", [](auto& region) { region.size += 4096; }),
        bad_region("BeyondItsFile", [](auto& region) { region.mmap_offset = 1 << 20; }),
        bad_region("GuestAddressWraps", [](auto& region) { region.guest_address = ~4095ull; }),
        bad_region("UserAddressWraps", [](auto& region) { region.user_address = ~4095ull; }),
        bad_region("OffsetWraps", [](auto& region) { region.mmap_offset = ~4095ull; }),
        bad_second_region("OverlapsForTheGuest",
                          [](auto& region) { region.guest_address -= 4096; }),
        bad_second_region("OverlapsForTheFrontEnd", [](auto& region) { region.user_address -= 1; }),
        bad_file("InAnEventfd", [](const Belongings& own) { return own.event.get(); }),
        bad_file("InAFileOpenedReadOnly",
                 [](const Belongings& own) { return own.read_only.get(); })),
    name_of);

// Bytes after which nobody can tell where the next message begins.
struct BrokenStream {
    std::string name;
    const char* fault;
    std::function<void(FrontEnd&)> act;
    friend void PrintTo(const BrokenStream& broken, std::ostream* out) { *out << broken.name; }
};

class BrokenStreams : public testing::TestWithParam<BrokenStream> {
protected:
    PumpLab lab_;
};

TEST_P(BrokenStreams, EndTheSessionEvenWithAcknowledgements) {
    FrontEnd front_end = FrontEnd::connect(lab_.socket());
    front_end.send(Request::set_protocol_features, vhost::protocol_feature_reply_ack);
    GetParam().act(front_end);
    EXPECT_EQ(lab_.session_end().at("protocol_errors"), nlohmann::json({{GetParam().fault, 1}}));
    Guest next = lab_.connect();
    expect_frames_pass(lab_.station(), next);
}

constexpr auto set_features = static_cast<uint32_t>(Request::set_features);

BrokenStream cut_off(const std::string& name, const Bytes& beginning) {
    return {name, "truncated_message", [=](FrontEnd& front_end) {
                front_end.send_raw(beginning);
                front_end.close();
            }};
}

BrokenStream with_flags(const std::string& name, uint32_t flags) {
    return {name, "bad_version", [=](FrontEnd& front_end) {
                front_end.send(set_features, Bytes(8), {.flags = flags | vhost::flag_need_reply});
            }};
}

BrokenStream announcing(const std::string& name, uint32_t size) {
    return {name, "oversized_payload", [=](FrontEnd& front_end) {
                front_end.send(set_features, Bytes(8), {.announced_size = size});
            }};
}

void leave_answers_unread(FrontEnd& front_end) {
    constexpr unsigned more_than_any_socket_holds = 100'000;
    for (unsigned i = 0; i < more_than_any_socket_holds; ++i) {
        front_end.send(Request::get_features);
    }
}

INSTANTIATE_TEST_SUITE_P(
    Streams, BrokenStreams,
    testing::Values(cut_off("ClosedInAHeader", Bytes(5)),
                    cut_off("ClosedBeforeThePayload",
                            bytes_of(vhost::Header{
                                .request = set_features, .flags = vhost::version, .size = 8})),
                    with_flags("VersionZero", 0), with_flags("VersionTwo", 2),
                    announcing("OneByteTooMany", vhost::payload_bytes_max + 1),
                    announcing("FourBillionBytes", ~0u),
                    BrokenStream{"TooManyDescriptors", "too_many_fds",
                                 [](FrontEnd& front_end) {
                                     front_end.send(set_features, Bytes(8),
                                                    {.fds = std::vector<int>(vhost::fds_max + 1,
                                                                             front_end.fd())});
                                 }},
                    BrokenStream{"AnswersUnread", "unread_reply", leave_answers_unread}),
    name_of);

} // namespace
} // namespace tapline::netns
