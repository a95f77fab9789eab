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

    // From here on it can be asked, and has shown that it understands.
    void introduce() {
        EXPECT_EQ(connect(), accepted);
        EXPECT_EQ(tell(iotlb_msg, Iommu::invalidation_of_all()), accepted);
    }
    bool knows(uint64_t address) const {
        return session_.iotlb() && session_.iotlb()->find(address, Access::both).size > 0;
    }
    std::optional<ProtocolFault> start(const VringAddresses& addresses) {
        tell(set_vring_num, VringState{.index = 0, .num = ring_.size()});
        tell(set_vring_addr, addresses);
        return tell(set_vring_kick, uint64_t{0}, {event_.get()});
    }
    VringAddresses translated_addresses() const {
        VringAddresses at = ring_.addresses(0);
        for (uint64_t* each : {&at.descriptors, &at.available, &at.used}) {
            *each = ram_.guest_address(*each);
        }
        return at;
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
    EXPECT_EQ(update(base_), accepted);
    ASSERT_TRUE(session_.iotlb());
    EXPECT_EQ(tell(set_features, bit(Feature::version_1)), accepted);
    EXPECT_FALSE(session_.iotlb());
    EXPECT_EQ(update(base_), out_of_order);
    EXPECT_EQ(tell(set_features, translated), accepted);
    EXPECT_EQ(update(base_), accepted);
    EXPECT_EQ(tell(set_protocol_features, protocol_feature_reply_ack), accepted);
    EXPECT_FALSE(session_.iotlb()) << "nobody could be asked";
}

// As with crosvm and a guest whose memory is protected.
TEST_F(SessionIotlb, AsksNothingOfAFrontEndThatTellsOfNoTranslation) {
    ASSERT_EQ(connect(), accepted);
    ASSERT_EQ(start(ring_.addresses(0)), accepted);
    EXPECT_FALSE(session_.iotlb());
    EXPECT_TRUE(session_.locate(session_.rings()[0]));
    session_.ask({.address = base_, .access = Access::read});
    (void)session_.requests().ask_again();
    (void)session_.requests().ask_again();
    EXPECT_FALSE(asked());
}

TEST_F(SessionIotlb, WaitsWithARingThatIsNoneOfTheFrontEndsOwnAddresses) {
    ASSERT_EQ(connect(), accepted);
    ASSERT_EQ(start(translated_addresses()), accepted);
    EXPECT_FALSE(session_.locate(session_.rings()[0]));
    (void)session_.requests().ask_again();
    (void)session_.requests().ask_again();
    EXPECT_FALSE(asked());
    EXPECT_TRUE(session_.requests().waits());
    front_end_.send(iotlb_msg, Iommu::update(ram_, base_ + 100 * Iommu::page, Iommu::page));
    const auto message = connection_.receive();
    const auto affected = session_.affected_pairs(*message);
    EXPECT_EQ(affected.begin, 0);
    EXPECT_EQ(affected.end, 2) << "all addresses mean something else from now on";
    EXPECT_EQ(update(base_ + 100 * Iommu::page), accepted);
    EXPECT_FALSE(session_.locate(session_.rings()[0]));
    EXPECT_TRUE(asked());
}

TEST_F(SessionIotlb, KeepsWhatItIsTold) {
    EXPECT_EQ(update(base_), accepted);
    EXPECT_TRUE(knows(base_));
    EXPECT_EQ(tell(iotlb_msg, Iommu::invalidation(base_, Iommu::page)), accepted);
    EXPECT_FALSE(knows(base_));
    EXPECT_EQ(update(base_), accepted);
    EXPECT_EQ(tell(iotlb_msg, Iommu::invalidation_of_all()), accepted);
    EXPECT_FALSE(knows(base_));
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
    EXPECT_FALSE(knows(base_));
    EXPECT_EQ(update(base_), accepted);
    EXPECT_EQ(tell(get_vring_base, VringState{.index = 0, .num = 0}), accepted);
    EXPECT_FALSE(knows(base_));
}

TEST_F(SessionIotlb, ForgetsAllWithAReset) {
    introduce();
    for (const Request request : {reset_device, set_status}) {
        EXPECT_EQ(update(base_), accepted);
        session_.ask({.address = base_ + Iommu::page, .access = Access::read});
        EXPECT_TRUE(session_.requests().waits());
        EXPECT_EQ(request == set_status ? tell(set_status, uint64_t{0}) : tell(reset_device),
                  accepted);
        EXPECT_FALSE(knows(base_));
        EXPECT_FALSE(session_.requests().waits());
    }
}

// A front end may tell of less than a page.
TEST_F(SessionIotlb, AsksForThePageOfTheByteThatIsMissing) {
    introduce();
    EXPECT_EQ(update(base_, 100), accepted);
    session_.ask({.address = base_ + 50, .access = Access::read});
    EXPECT_FALSE(asked());
    session_.ask({.address = base_ + 100, .access = Access::read});
    const auto miss = asked();
    ASSERT_TRUE(miss);
    EXPECT_EQ(miss->address, base_);
    EXPECT_EQ(update(base_), accepted);
    EXPECT_FALSE(session_.requests().waits());
}

TEST_F(SessionIotlb, AsksForEachPageOnceUntilItIsTold) {
    introduce();
    session_.ask({.address = base_ + 5, .access = Access::write});
    session_.ask({.address = base_ + 6, .access = Access::write});
    const auto first = asked();
    ASSERT_TRUE(first);
    EXPECT_EQ(first->address, base_);
    EXPECT_EQ(first->access, Access::write);
    EXPECT_FALSE(asked());
    EXPECT_TRUE(session_.requests().waits());
    EXPECT_EQ(update(base_), accepted);
    EXPECT_FALSE(session_.requests().waits());
    session_.ask({.address = base_, .access = Access::write});
    EXPECT_FALSE(asked()) << "it is known";
    EXPECT_EQ(tell(iotlb_msg, Iommu::invalidation_of_all()), accepted);
    session_.ask({.address = base_, .access = Access::write});
    EXPECT_TRUE(asked());
}

TEST_F(SessionIotlb, AsksAgainForWhatStaysUnanswered) {
    introduce();
    session_.ask({.address = base_, .access = Access::read});
    EXPECT_TRUE(asked());
    std::vector<unsigned> rounds;
    unsigned late = 0;
    for (unsigned round = 1; round <= 200; ++round) {
        late += static_cast<unsigned>(session_.requests().ask_again().size());
        EXPECT_EQ(late > 0, round >= BackendChannel::rounds_until_late) << round;
        if (asked()) {
            rounds.push_back(round);
        }
    }
    EXPECT_EQ(late, 1u);
    EXPECT_EQ(rounds, (std::vector<unsigned>{2, 4, 8, 16, 32, 64, 124, 184}))
        << "not at once, as its answer may be under way; then ever more seldom";
}

TEST_F(SessionIotlb, AsksForTheRingsThemselves) {
    introduce();
    ASSERT_EQ(start(translated_addresses()), accepted);
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

// Each restart of a worker costs: an update that says nothing new of a ring is none of its
// business.
TEST_F(SessionIotlb, LeavesARingAloneOfWhichNothingNewIsTold) {
    introduce();
    ASSERT_EQ(start(translated_addresses()), accepted);
    const auto restarts = [&](const IotlbMessage& message) {
        front_end_.send(iotlb_msg, message);
        auto received = connection_.receive();
        const auto pairs = session_.affected_pairs(*received);
        EXPECT_EQ(fault_of([&] { (void)session_.handle(std::move(*received)); }), accepted);
        return pairs.end > pairs.begin;
    };
    const IotlbMessage ring = Iommu::update(ram_, base_, 8 * Iommu::page);
    EXPECT_TRUE(restarts(ring));
    EXPECT_FALSE(restarts(ring));
    EXPECT_FALSE(restarts(Iommu::update(ram_, base_, Iommu::page))) << "part of it";
    EXPECT_FALSE(restarts(Iommu::update(ram_, base_, 16 * Iommu::page))) << "and more";
    EXPECT_FALSE(restarts(Iommu::update(ram_, base_ + 64 * Iommu::page, Iommu::page)));
    IotlbMessage elsewhere = ring;
    elsewhere.user_address += Iommu::page;
    EXPECT_TRUE(restarts(elsewhere));
    EXPECT_TRUE(restarts(ring));
    EXPECT_TRUE(restarts(Iommu::update(ram_, base_, 8 * Iommu::page, Access::read)));
    EXPECT_TRUE(restarts(Iommu::invalidation(base_, Iommu::page)));
    EXPECT_TRUE(restarts(ring));
}

// Whoever does not read must not hold up whoever does.
TEST_F(SessionIotlb, WaitsForNobodyWhoDoesNotRead) {
    introduce();
    for (unsigned round = 0; round < 20; ++round) {
        for (uint64_t number = 0; number < 2 * BackendChannel::misses_max; ++number) {
            session_.ask({.address = base_ + number * Iommu::page, .access = Access::read});
        }
        (void)session_.requests().ask_again();
    }
    EXPECT_EQ(update(base_), accepted);
    EXPECT_FALSE(session_.requests().take_closed());
    channel_.ours.reset();
    session_.requests().forget_all();
    session_.ask({.address = base_ + Iommu::page, .access = Access::write});
    EXPECT_TRUE(session_.requests().take_closed());
    EXPECT_FALSE(session_.requests().take_closed()) << "told once";
    EXPECT_EQ(update(base_ + Iommu::page), accepted);
}

TEST_F(SessionIotlb, TakesAnotherChannelAndRefusesWhatIsNone) {
    constexpr auto request = static_cast<uint32_t>(set_backend_req_fd);
    EXPECT_EQ(update(base_ + Iommu::page), accepted);
    session_.ask({.address = base_, .access = Access::read}); // There is nobody to ask yet.
    EXPECT_EQ(tell_bytes(request, {}, {event_.get()}), wrong_fd_type);
    EXPECT_EQ(tell_bytes(request, {}, {ram_.fd()}), wrong_fd_type);
    EXPECT_EQ(tell_bytes(request, {}), wrong_fd_count);
    EXPECT_EQ(connect(), accepted);
    (void)session_.requests().ask_again();
    (void)session_.requests().ask_again();
    EXPECT_TRUE(asked());
    fakes::SocketPair other(SOCK_STREAM);
    EXPECT_EQ(tell_bytes(request, {}, {other.theirs.get()}), accepted);
}

} // namespace
} // namespace tapline::vhost
