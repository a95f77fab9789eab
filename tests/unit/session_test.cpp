#include "tests/unit/session_fixture.h"

namespace tapline::vhost {
namespace {

using enum Request;

using SessionTest = SessionFixture;

TEST_F(SessionTest, OffersItsFeaturesAndThoseOfTheProtocol) {
    EXPECT_EQ(ask<uint64_t>(get_features),
              offered | bits(Feature::protocol_features, Feature::log_all));
    EXPECT_EQ(ask<uint64_t>(get_protocol_features),
              protocol_feature_mq | protocol_feature_log_shmfd | protocol_feature_rarp |
                  protocol_feature_reply_ack | protocol_feature_inflight_shmfd |
                  protocol_feature_net_mtu | protocol_feature_reset_device |
                  protocol_feature_configure_mem_slots | protocol_feature_status |
                  protocol_feature_backend_req);
}

// QEMU compares it with queue pairs, Cloud Hypervisor and crosvm with rings: it may not be less.
TEST_F(SessionTest, QueuesAreCountedInRings) {
    EXPECT_EQ(ask<uint64_t>(get_queue_num), 4u);
    EXPECT_EQ(session_.rings().size(), 4u);
}

TEST_F(SessionTest, FeaturesAreTakenInPartOrWhole) {
    EXPECT_EQ(tell(set_features, bit(Feature::mrg_rxbuf)), accepted);
    EXPECT_EQ(session_.features(), bit(Feature::mrg_rxbuf));
    EXPECT_EQ(tell(set_features, offered | bit(Feature::protocol_features)), accepted);
    EXPECT_EQ(session_.features(), offered | bit(Feature::protocol_features));
}

TEST_F(SessionTest, AcknowledgesOnceThatIsNegotiated) {
    EXPECT_FALSE(session_.acknowledges());
    EXPECT_EQ(tell(set_protocol_features, protocol_feature_reply_ack), accepted);
    EXPECT_TRUE(session_.acknowledges());
    EXPECT_EQ(tell(set_protocol_features, protocol_feature_mq), accepted);
    EXPECT_FALSE(session_.acknowledges());
}

TEST_F(SessionTest, OnlyRequestsThatAskHaveAnAnswer) {
    front_end_.send(set_owner);
    const auto silent = connection_.receive();
    front_end_.send(get_queue_num);
    const auto asking = connection_.receive();
    ASSERT_TRUE(silent && asking);
    EXPECT_FALSE(session_.handle({.header = silent->header, .bytes = silent->bytes, .fds = {}}));
    EXPECT_TRUE(session_.handle({.header = asking->header, .bytes = asking->bytes, .fds = {}}));
}

TEST_F(SessionTest, MemoryIsSharedAndReplaced) {
    EXPECT_EQ(share_memory(), accepted);
    const auto first = session_.memory();
    ASSERT_NE(first, nullptr);
    EXPECT_NE(first->at_guest_address(ram_.region().guest_address, ram_.size()), nullptr);
    EXPECT_EQ(share_memory(), accepted);
    EXPECT_NE(session_.memory(), first);
}

// QEMU sends all of them; what lies behind the ones it counts means nothing.
TEST_F(SessionTest, MemoryTableMayBeLongerThanItsCount) {
    MemoryTable table{.count = 1, .padding = 0, .regions = {ram_.region()}};
    EXPECT_EQ(tell(set_mem_table, table, {ram_.fd()}), accepted);
    EXPECT_NE(session_.memory(), nullptr);
}

TEST_F(SessionTest, MemoryTableMayHaveAllItsRegions) {
    std::vector<std::unique_ptr<fakes::GuestRam>> rams;
    std::vector<int> fds;
    MemoryTable table{.count = memory_regions_max, .padding = 0, .regions = {}};
    for (size_t i = 0; i < memory_regions_max; ++i) {
        rams.push_back(std::make_unique<fakes::GuestRam>(4096, 0x100000 * (i + 1)));
        table.regions[i] = rams.back()->region();
        fds.push_back(rams.back()->fd());
    }
    EXPECT_EQ(tell(set_mem_table, table, fds), accepted);
    EXPECT_NE(session_.memory()->at_guest_address(0x800000, 4096), nullptr);
}

TEST_F(SessionTest, RingTakesWhatItIsTold) {
    EXPECT_EQ(tell(set_vring_num, VringState{.index = 3, .num = 256}), accepted);
    EXPECT_EQ(tell(set_vring_base, VringState{.index = 3, .num = 65535}), accepted);
    EXPECT_EQ(tell(set_vring_addr, ring_.addresses(3)), accepted);
    EXPECT_EQ(tell(set_vring_call, uint64_t{3}, {event_.get()}), accepted);
    EXPECT_EQ(tell(set_vring_err, uint64_t{3}, {event_.get()}), accepted);
    const Vring& ring = session_.rings()[3];
    EXPECT_EQ(ring.size, 256u);
    EXPECT_EQ(ring.base, 65535);
    EXPECT_EQ(ring.addresses.value().used, ring_.addresses(3).used);
    EXPECT_TRUE(ring.call);
    EXPECT_TRUE(ring.error);
    EXPECT_FALSE(ring.started);
}

TEST_F(SessionTest, EachRingSizeOfTheSpecificationIsTaken) {
    for (uint32_t size = 1; size <= ring_size_max; size *= 2) {
        EXPECT_EQ(tell(set_vring_num, VringState{.index = 0, .num = size}), accepted) << size;
        EXPECT_EQ(session_.rings()[0].size, size);
    }
}

TEST_F(SessionTest, KickStartsARingAndGetBaseStopsIt) {
    share_memory();
    EXPECT_EQ(start_ring(1), accepted);
    EXPECT_TRUE(session_.rings()[1].started);
    EXPECT_FALSE(session_.rings()[0].started);
    session_.rings()[1].base = 17; // As whoever ran it would say.
    EXPECT_EQ(tell(get_vring_base, VringState{.index = 1, .num = 0}), accepted);
    const auto answer = front_end_.receive_as<VringState>();
    EXPECT_EQ(answer.index, 1u);
    EXPECT_EQ(answer.num, 17u);
    EXPECT_FALSE(session_.rings()[1].started);
    EXPECT_FALSE(session_.rings()[1].kick);
}

// Alioth tells of all descriptors for kicks before anything else of their rings, and also of those
// whose rings its guest does not use.
TEST_F(SessionTest, RingRunsOnceAllIsKnownWhateverCameLast) {
    EXPECT_EQ(tell(set_vring_kick, uint64_t{1}, {event_.get()}), accepted);
    EXPECT_FALSE(session_.ring_runs(1));
    EXPECT_EQ(tell(set_vring_num, VringState{.index = 1, .num = 64}), accepted);
    EXPECT_EQ(tell(set_vring_base, VringState{.index = 1, .num = 0}), accepted);
    EXPECT_FALSE(session_.ring_runs(1));
    EXPECT_EQ(tell(set_vring_addr, ring_.addresses(1)), accepted);
    EXPECT_FALSE(session_.ring_runs(1));
    share_memory();
    EXPECT_TRUE(session_.ring_runs(1));
    EXPECT_EQ(tell(get_vring_base, VringState{.index = 1, .num = 0}), accepted);
    EXPECT_FALSE(session_.ring_runs(1));
}

// Without protocol features it runs at once, and nothing tells that more is to come.
TEST_F(SessionTest, RingThatIsNotEnabledYetTakesItsBaseLast) {
    tell(set_features, bit(Feature::protocol_features));
    share_memory();
    EXPECT_EQ(tell(set_vring_kick, uint64_t{1}, {event_.get()}), accepted);
    EXPECT_EQ(tell(set_vring_num, VringState{.index = 1, .num = 64}), accepted);
    EXPECT_EQ(tell(set_vring_addr, ring_.addresses(1)), accepted);
    EXPECT_EQ(tell(set_vring_base, VringState{.index = 1, .num = 7}), accepted);
    EXPECT_EQ(tell(set_vring_enable, VringState{.index = 1, .num = 1}), accepted);
    EXPECT_TRUE(session_.ring_runs(1));
    EXPECT_EQ(session_.rings()[1].base, 7u);
    EXPECT_EQ(tell(set_vring_base, VringState{.index = 1, .num = 8}), ProtocolFault::out_of_order);
}

TEST_F(SessionTest, RingDoesNotRunWhereItWasBeforeAReset) {
    share_memory();
    for (const bool by_status : {false, true}) {
        start_ring(1);
        EXPECT_TRUE(session_.ring_runs(1));
        EXPECT_EQ(by_status ? tell(set_status, uint64_t{0}) : tell(reset_device), accepted);
        EXPECT_EQ(tell(set_vring_kick, uint64_t{1}, {event_.get()}), accepted);
        EXPECT_FALSE(session_.ring_runs(1));
        EXPECT_EQ(tell(set_vring_num, VringState{.index = 1, .num = 64}), accepted);
        EXPECT_EQ(tell(set_vring_addr, ring_.addresses(1)), accepted);
        EXPECT_TRUE(session_.ring_runs(1));
    }
}

TEST_F(SessionTest, KickWithoutDescriptorStartsARingToBePolled) {
    share_memory();
    start_ring(1);
    tell(get_vring_base, VringState{.index = 1, .num = 0});
    EXPECT_EQ(tell(set_vring_kick, uint64_t{1} | vring_fd_none), accepted);
    EXPECT_TRUE(session_.rings()[1].started);
    EXPECT_FALSE(session_.rings()[1].kick);
}

TEST_F(SessionTest, DisabledRingCountsAsStoppedOnceItIsSetUpAgain) {
    tell(set_features, bit(Feature::protocol_features));
    share_memory();
    start_ring(0);
    EXPECT_EQ(tell(set_vring_num, VringState{.index = 0, .num = 128}), accepted);
    EXPECT_FALSE(session_.rings()[0].started);
    EXPECT_EQ(start_ring(0), accepted);
}

TEST_F(SessionTest, CallAndErrorDescriptorsMayBeTakenBack) {
    tell(set_vring_call, uint64_t{0}, {event_.get()});
    tell(set_vring_err, uint64_t{0}, {event_.get()});
    EXPECT_EQ(tell(set_vring_call, vring_fd_none), accepted);
    EXPECT_EQ(tell(set_vring_err, vring_fd_none), accepted);
    EXPECT_FALSE(session_.rings()[0].call);
    EXPECT_FALSE(session_.rings()[0].error);
}

TEST_F(SessionTest, ReplacedDescriptorsAreClosed) {
    tell(set_vring_call, uint64_t{0}, {event_.get()});
    const size_t before = open_fds();
    tell(set_vring_call, uint64_t{0}, {event_.get()});
    EXPECT_EQ(open_fds(), before);
}

TEST_F(SessionTest, CallMayChangeWhileTheRingRuns) {
    share_memory();
    start_ring(0);
    EXPECT_EQ(tell(set_vring_call, uint64_t{0}, {event_.get()}), accepted);
    EXPECT_TRUE(session_.rings()[0].started);
}

TEST_F(SessionTest, RingsAreEnabledOneByOne) {
    tell(set_features, bit(Feature::protocol_features));
    EXPECT_FALSE(session_.ring_is_enabled(2));
    EXPECT_EQ(enable_ring(2, 1), accepted);
    EXPECT_TRUE(session_.ring_is_enabled(2));
    EXPECT_FALSE(session_.ring_is_enabled(3));
    EXPECT_EQ(enable_ring(2, 0), accepted);
    EXPECT_FALSE(session_.ring_is_enabled(2));
}

TEST_F(SessionTest, WithoutProtocolFeaturesEveryRingIsEnabled) {
    tell(set_features, offered);
    EXPECT_TRUE(session_.ring_is_enabled(0));
}

// QEMU does so.
TEST_F(SessionTest, RingsMayBeEnabledBeforeFeaturesAreSet) {
    EXPECT_EQ(enable_ring(0, 1), accepted);
    tell(set_features, bit(Feature::protocol_features));
    EXPECT_TRUE(session_.ring_is_enabled(0));
    EXPECT_FALSE(session_.ring_is_enabled(1));
}

TEST_F(SessionTest, ResetDisablesAllRings) {
    tell(set_features, bit(Feature::protocol_features));
    enable_ring(0, 1);
    enable_ring(3, 1);
    EXPECT_EQ(tell(reset_owner), accepted);
    EXPECT_FALSE(session_.ring_is_enabled(0));
    EXPECT_FALSE(session_.ring_is_enabled(3));
}

TEST_F(SessionTest, MtuThatTheDeviceCarriesIsTaken) {
    for (const uint64_t mtu : {68, 1500, 9000}) {
        EXPECT_EQ(tell(net_set_mtu, mtu), accepted) << mtu;
    }
}

TEST_F(SessionTest, AnnouncementIsTakenOnce) {
    EXPECT_FALSE(session_.take_announcement());
    EXPECT_EQ(tell(send_rarp, std::array<uint8_t, 8>{0x52, 0x54, 0, 1, 2, 3, 99, 99}), accepted);
    EXPECT_EQ(session_.take_announcement(), (Session::Station{0x52, 0x54, 0, 1, 2, 3}));
    EXPECT_FALSE(session_.take_announcement());
}

TEST_F(SessionTest, StatusIsKept) {
    EXPECT_EQ(ask<uint64_t>(get_status), 0u);
    EXPECT_EQ(tell(set_status, uint64_t{11}), accepted);
    EXPECT_EQ(ask<uint64_t>(get_status), 11u);
}

// QEMU shares memory only once, and may tell of calls before a reset.
TEST_F(SessionTest, ResetStopsAllRingsAndKeepsMemoryAndCalls) {
    tell(set_features, bit(Feature::protocol_features));
    share_memory();
    for (const bool by_status : {false, true}) {
        tell(set_status, uint64_t{15});
        tell(set_vring_call, uint64_t{2}, {event_.get()});
        for (const uint32_t ring : {0u, 2u}) {
            start_ring(ring);
            enable_ring(ring, 1);
            session_.rings()[ring].base = 5;
        }
        EXPECT_EQ(by_status ? tell(set_status, uint64_t{0}) : tell(reset_device), accepted);
        for (const uint32_t ring : {0u, 2u}) {
            const Vring& vring = session_.rings()[ring];
            EXPECT_FALSE(vring.started || session_.ring_is_enabled(static_cast<uint16_t>(ring)));
            EXPECT_FALSE(vring.kick);
            EXPECT_EQ(vring.base, by_status ? std::optional<uint32_t>(5) : std::nullopt);
        }
        EXPECT_TRUE(session_.rings()[2].call);
        EXPECT_NE(session_.memory(), nullptr);
        EXPECT_EQ(ask<uint64_t>(get_status), 0u);
    }
}

class AffectedPairs : public SessionFixture {
protected:
    std::pair<int, int> affected(Request request, std::span<const std::byte> payload = {}) {
        Message message;
        message.header = {.request = static_cast<uint32_t>(request),
                          .flags = version,
                          .size = static_cast<uint32_t>(payload.size())};
        std::ranges::copy(payload, message.bytes.begin());
        const auto range = session_.affected_pairs(message);
        return {range.begin, range.end};
    }

    template <typename T> std::pair<int, int> affected_by(Request request, const T& payload) {
        return affected(request, std::as_bytes(std::span(&payload, 1)));
    }

    static constexpr std::pair<int, int> none{0, 0};
};

TEST_F(AffectedPairs, QuestionsTouchNoRing) {
    for (const Request request :
         {get_features, get_protocol_features, get_queue_num, set_owner, set_backend_req_fd,
          get_max_mem_slots, set_log_fd, get_inflight_fd, get_status, send_rarp, net_set_mtu}) {
        EXPECT_EQ(affected(request), none) << static_cast<int>(request);
    }
}

TEST_F(AffectedPairs, MemoryAndFeaturesTouchAll) {
    for (const Request request :
         {set_features, set_protocol_features, set_mem_table, reset_owner, add_mem_reg, rem_mem_reg,
          reset_device, set_status, set_log_base, set_inflight_fd}) {
        EXPECT_EQ(affected(request), std::pair(0, 2)) << static_cast<int>(request);
    }
}

TEST_F(AffectedPairs, MessagesOfOneRingTouchItsPair) {
    for (const uint32_t ring : {0u, 1u, 2u, 3u}) {
        const auto pair = std::pair<int, int>(ring / 2, ring / 2 + 1);
        for (const Request request :
             {set_vring_num, set_vring_base, get_vring_base, set_vring_enable}) {
            EXPECT_EQ(affected_by(request, VringState{.index = ring, .num = 1}), pair);
        }
        EXPECT_EQ(affected_by(set_vring_addr, VringAddresses{.index = ring}), pair);
        for (const Request request : {set_vring_kick, set_vring_call, set_vring_err}) {
            EXPECT_EQ(affected_by(request, uint64_t{ring}), pair);
            EXPECT_EQ(affected_by(request, uint64_t{ring} | vring_fd_none), pair);
        }
    }
}

TEST_F(AffectedPairs, RingsThatDoNotExistTouchNothing) {
    EXPECT_EQ(affected_by(set_vring_num, VringState{.index = 4, .num = 1}), none);
    EXPECT_EQ(affected_by(set_vring_num, VringState{.index = UINT32_MAX, .num = 1}), none);
    EXPECT_EQ(affected_by(set_vring_kick, uint64_t{4}), none);
}

TEST_F(AffectedPairs, UnknownRequestsTouchNothing) {
    EXPECT_EQ(affected(Request{0}), none);
    EXPECT_EQ(affected(Request{99}), none);
}

} // namespace
} // namespace tapline::vhost
