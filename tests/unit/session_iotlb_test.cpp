// Sessions of guests behind an IOMMU: what the front end tells, and what it is asked.
#include "tests/fakes/iommu.h"
#include "tests/unit/session_fixture.h"

#include <sys/socket.h>

namespace tapline::vhost {
namespace {

using enum Request;
using enum ProtocolFault;
using fakes::Iommu;

class SessionIotlb : public SessionFixture {
protected:
    void SetUp() override {
        EXPECT_EQ(
            tell(set_protocol_features, protocol_feature_backend_req | protocol_feature_reply_ack),
            accepted);
        EXPECT_EQ(tell(set_features, translated), accepted);
        EXPECT_EQ(share_memory(), accepted);
    }

    std::optional<ProtocolFault> connect() {
        return tell_bytes(static_cast<uint32_t>(set_backend_req_fd), {}, {channel_.theirs.get()});
    }
    std::optional<ProtocolFault> update(uint64_t address, uint64_t size = Iommu::page) {
        return tell(iotlb_msg, Iommu::update(ram_, address, size));
    }

    // What the front end is asked next; nothing where it is not asked.
    std::optional<IotlbMessage> asked() {
        std::array<std::byte, sizeof(Header) + sizeof(IotlbMessage)> bytes{};
        if (recv(channel_.ours.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) !=
            static_cast<ssize_t>(bytes.size())) {
            return std::nullopt;
        }
        Header header{};
        IotlbMessage message{};
        std::memcpy(&header, bytes.data(), sizeof header);
        std::memcpy(&message, bytes.data() + sizeof header, sizeof message);
        EXPECT_EQ(header.request, static_cast<uint32_t>(BackendRequest::iotlb_msg));
        EXPECT_EQ(header.flags, version);
        EXPECT_EQ(header.size, sizeof message);
        EXPECT_EQ(message.kind, IotlbKind::miss);
        return message;
    }

    static constexpr uint64_t translated = bits(Feature::version_1, Feature::access_platform);
    static constexpr uint64_t base_ = 0x10000;
    fakes::SocketPair channel_{SOCK_STREAM};
};

TEST_F(SessionIotlb, TranslatesWithBothFeaturesOnly) {
    ASSERT_TRUE(session_.iotlb());
    EXPECT_EQ(tell(set_features, bit(Feature::version_1)), accepted);
    EXPECT_FALSE(session_.iotlb());
    EXPECT_EQ(update(base_), out_of_order);
    EXPECT_EQ(tell(set_features, translated), accepted);
    EXPECT_EQ(update(base_), accepted);
    EXPECT_EQ(tell(set_protocol_features, protocol_feature_reply_ack), accepted);
    EXPECT_FALSE(session_.iotlb()) << "nobody could be asked";
}

TEST_F(SessionIotlb, KeepsWhatItIsTold) {
    EXPECT_EQ(update(base_), accepted);
    EXPECT_GT(session_.iotlb()->find(base_, Access::both).size, 0u);
    EXPECT_EQ(tell(iotlb_msg, Iommu::invalidation(base_, Iommu::page)), accepted);
    EXPECT_EQ(session_.iotlb()->size(), 0u);
    EXPECT_EQ(update(base_), accepted);
    EXPECT_EQ(tell(iotlb_msg, Iommu::invalidation_of_all()), accepted);
    EXPECT_EQ(session_.iotlb()->size(), 0u);
}

TEST_F(SessionIotlb, TakesMessagesWithAndWithoutPadding) {
    const auto change = Iommu::update(ram_, base_, Iommu::page);
    const auto bytes = std::as_bytes(std::span(&change, 1));
    constexpr auto request = static_cast<uint32_t>(iotlb_msg);
    EXPECT_EQ(tell_bytes(request, bytes.first(iotlb_bytes_min)), accepted);
    EXPECT_EQ(tell_bytes(request, bytes.first(iotlb_bytes_min - 1)), wrong_payload_size);
    EXPECT_EQ(tell_bytes(request, {}), wrong_payload_size);
    EXPECT_EQ(tell_bytes(request, bytes, {event_.get()}), wrong_fd_count);
}

TEST_F(SessionIotlb, RefusesWhatMakesNoSense) {
    const auto refused = [&](auto change) {
        IotlbMessage message = Iommu::update(ram_, base_, Iommu::page);
        change(message);
        const auto before = session_.iotlb();
        const auto fault = tell(iotlb_msg, message);
        EXPECT_EQ(session_.iotlb(), before);
        return fault;
    };
    using M = IotlbMessage;
    EXPECT_EQ(refused([](M& message) { message.size = 0; }), bad_value);
    EXPECT_EQ(refused([](M& message) { message.kind = IotlbKind::miss; }), bad_value);
    for (const int kind : {0, 4, 5, 6, 255}) {
        EXPECT_EQ(refused([&](M& message) { message.kind = static_cast<IotlbKind>(kind); }),
                  bad_value);
    }
    EXPECT_EQ(refused([](M& message) { message.user_address = 0; }), memory_region);
    EXPECT_EQ(refused([](M& message) { message = Iommu::invalidation(base_, ~uint64_t{0}); }),
              bad_value);
}

TEST_F(SessionIotlb, ForgetsAllWithTheMemoryAndWithTheRings) {
    EXPECT_EQ(update(base_), accepted);
    EXPECT_EQ(share_memory(), accepted);
    EXPECT_EQ(session_.iotlb()->size(), 0u);
    EXPECT_EQ(update(base_), accepted);
    EXPECT_EQ(tell(get_vring_base, VringState{.index = 0, .num = 0}), accepted);
    EXPECT_EQ(session_.iotlb()->size(), 0u);
}

TEST_F(SessionIotlb, AsksForEachPageOnceUntilItIsTold) {
    ASSERT_EQ(connect(), accepted);
    session_.ask(IotlbMiss::at(base_ + 5, Access::write));
    session_.ask(IotlbMiss::at(base_ + 6, Access::write));
    const auto first = asked();
    ASSERT_TRUE(first);
    EXPECT_EQ(first->address, base_);
    EXPECT_EQ(first->access, Access::write);
    EXPECT_FALSE(asked());
    EXPECT_TRUE(session_.requests().waits());
    EXPECT_EQ(update(base_), accepted);
    EXPECT_FALSE(session_.requests().waits());
    session_.ask(IotlbMiss::at(base_, Access::write));
    EXPECT_FALSE(asked()) << "it is known";
    EXPECT_EQ(tell(iotlb_msg, Iommu::invalidation_of_all()), accepted);
    session_.ask(IotlbMiss::at(base_, Access::write));
    EXPECT_TRUE(asked());
}

TEST_F(SessionIotlb, AsksAgainForWhatStaysUnanswered) {
    ASSERT_EQ(connect(), accepted);
    session_.ask(IotlbMiss::at(base_, Access::read));
    EXPECT_TRUE(asked());
    session_.requests().ask_again();
    EXPECT_FALSE(asked()) << "its answer may be under way";
    session_.requests().ask_again();
    EXPECT_TRUE(asked());
}

TEST_F(SessionIotlb, AsksForTheRingsThemselves) {
    ASSERT_EQ(connect(), accepted);
    const VringAddresses at = ring_.addresses(0);
    VringAddresses translated_at = at;
    translated_at.descriptors = ram_.guest_address(at.descriptors);
    translated_at.available = ram_.guest_address(at.available);
    translated_at.used = ram_.guest_address(at.used);
    tell(set_vring_num, VringState{.index = 0, .num = ring_.size()});
    tell(set_vring_addr, translated_at);
    ASSERT_EQ(tell(set_vring_kick, uint64_t{0}, {event_.get()}), accepted);
    EXPECT_FALSE(session_.locate(session_.rings()[0]));
    unsigned misses = 0;
    while (const auto miss = asked()) {
        ++misses;
        front_end_.send(iotlb_msg, Iommu::update(ram_, miss->address, Iommu::page));
        EXPECT_EQ(serve(), accepted);
    }
    EXPECT_GE(misses, 1u);
    EXPECT_TRUE(session_.locate(session_.rings()[0]));
}

// Whoever does not read must not hold up whoever does.
TEST_F(SessionIotlb, WaitsForNobodyWhoDoesNotRead) {
    ASSERT_EQ(connect(), accepted);
    for (unsigned round = 0; round < 20; ++round) {
        for (uint64_t number = 0; number < 2 * BackendChannel::misses_max; ++number) {
            session_.ask(IotlbMiss::at(base_ + number * Iommu::page, Access::read));
        }
        session_.requests().ask_again();
    }
    EXPECT_EQ(update(base_), accepted);
    channel_.ours.reset();
    session_.requests().ask_again();
    session_.ask(IotlbMiss::at(base_ + Iommu::page, Access::write));
    EXPECT_EQ(update(base_ + Iommu::page), accepted);
}

TEST_F(SessionIotlb, TakesAnotherChannelAndRefusesWhatIsNone) {
    constexpr auto request = static_cast<uint32_t>(set_backend_req_fd);
    session_.ask(IotlbMiss::at(base_, Access::read)); // There is nobody to ask yet.
    EXPECT_EQ(tell_bytes(request, {}, {event_.get()}), wrong_fd_type);
    EXPECT_EQ(tell_bytes(request, {}, {ram_.fd()}), wrong_fd_type);
    EXPECT_EQ(tell_bytes(request, {}), wrong_fd_count);
    EXPECT_EQ(connect(), accepted);
    session_.requests().ask_again();
    session_.requests().ask_again();
    EXPECT_TRUE(asked());
    fakes::SocketPair other(SOCK_STREAM);
    EXPECT_EQ(tell_bytes(request, {}, {other.theirs.get()}), accepted);
}

} // namespace
} // namespace tapline::vhost
