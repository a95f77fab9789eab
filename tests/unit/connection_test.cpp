#include "vhost/connection.h"

#include "tests/fakes/front_end.h"
#include "tests/fakes/socket_pair.h"
#include "tests/unit/fault_of.h"
#include "tests/unit/open_fds.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <span>
#include <vector>

namespace tapline::vhost {
namespace {

constexpr uint32_t get_features = 1;
constexpr uint32_t set_mem_table = 5;

// A header and payload as they travel.
std::vector<std::byte> message_bytes(const Header& header,
                                     std::span<const std::byte> payload = {}) {
    const auto head = std::as_bytes(std::span(&header, 1));
    std::vector<std::byte> bytes(head.begin(), head.end());
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    return bytes;
}

std::vector<std::byte> numbered(size_t count) {
    std::vector<std::byte> bytes(count);
    for (size_t i = 0; i < count; ++i) {
        bytes[i] = static_cast<std::byte>(i);
    }
    return bytes;
}

class ConnectionTest : public testing::Test {
protected:
    // A message of any kind with so many descriptors.
    void send_with_fds(size_t count, std::span<const std::byte> payload = {}) {
        front_end_.send(set_mem_table, payload, {.fds = std::vector<int>(count, event_.get())});
    }

    std::optional<ProtocolFault> receive_fault() {
        return fault_of([&] { (void)connection_.receive(); });
    }

    UniqueFd event_ = fakes::make_eventfd();
    fakes::SocketPair sockets_{SOCK_STREAM};
    Connection connection_{std::move(sockets_.ours)};
    fakes::FrontEnd front_end_{std::move(sockets_.theirs)};
};

TEST_F(ConnectionTest, NothingSentIsNoMessageAndNoEnd) {
    EXPECT_FALSE(connection_.receive());
    EXPECT_FALSE(connection_.closed());
}

TEST_F(ConnectionTest, MessageArrivesWithFlagsAndPayload) {
    const auto payload = numbered(24);
    front_end_.send(7, payload, {.flags = version | flag_need_reply});
    const auto message = connection_.receive();
    ASSERT_TRUE(message);
    EXPECT_EQ(message->header.request, 7u);
    EXPECT_TRUE(message->needs_reply());
    EXPECT_TRUE(std::ranges::equal(message->payload(), payload));
    EXPECT_TRUE(message->fds.empty());
    EXPECT_FALSE(connection_.receive());
}

TEST_F(ConnectionTest, LargestPayloadArrives) {
    const auto payload = numbered(payload_bytes_max);
    front_end_.send(set_mem_table, payload, {});
    const auto message = connection_.receive();
    ASSERT_TRUE(message);
    EXPECT_TRUE(std::ranges::equal(message->payload(), payload));
}

TEST_F(ConnectionTest, MessageThatComesByteByByteArrivesOnce) {
    const auto payload = numbered(8);
    const auto bytes = message_bytes({.request = 2, .flags = version, .size = 8}, payload);
    for (size_t i = 0; i + 1 < bytes.size(); ++i) {
        front_end_.send_raw(std::span(bytes).subspan(i, 1));
        ASSERT_FALSE(connection_.receive()) << "after " << i + 1 << " bytes";
    }
    front_end_.send_raw(std::span(bytes).last(1));
    const auto message = connection_.receive();
    ASSERT_TRUE(message);
    EXPECT_TRUE(std::ranges::equal(message->payload(), payload));
}

TEST_F(ConnectionTest, MessagesOfOneWriteComeOneByOne) {
    auto bytes = message_bytes({.request = 1, .flags = version, .size = 0});
    const auto second = message_bytes({.request = 2, .flags = version, .size = 8}, numbered(8));
    const auto third = message_bytes({.request = 3, .flags = version, .size = 0});
    bytes.insert(bytes.end(), second.begin(), second.end());
    bytes.insert(bytes.end(), third.begin(), third.end());
    front_end_.send_raw(bytes);
    for (const uint32_t request : {1u, 2u, 3u}) {
        const auto message = connection_.receive();
        ASSERT_TRUE(message);
        EXPECT_EQ(message->header.request, request);
        EXPECT_EQ(message->payload().size(), request == 2 ? 8u : 0u);
    }
    EXPECT_FALSE(connection_.receive());
}

TEST_F(ConnectionTest, DescriptorsStayWithTheirMessage) {
    send_with_fds(1);
    send_with_fds(0);
    send_with_fds(2);
    for (const size_t count : {1u, 0u, 2u}) {
        const auto message = connection_.receive();
        ASSERT_TRUE(message);
        EXPECT_EQ(message->fds.size(), count);
    }
}

TEST_F(ConnectionTest, DescriptorsOfASplitMessageArriveWithItsEnd) {
    const auto payload = numbered(8);
    front_end_.send(set_mem_table, std::span(payload).first(4),
                    {.fds = {event_.get(), event_.get()}, .announced_size = 8});
    ASSERT_FALSE(connection_.receive());
    front_end_.send_raw(std::span(payload).last(4));
    const auto message = connection_.receive();
    ASSERT_TRUE(message);
    EXPECT_EQ(message->fds.size(), 2u);
    EXPECT_TRUE(std::ranges::equal(message->payload(), payload));
}

TEST_F(ConnectionTest, DescriptorsAreNotPassedOnToChildren) {
    send_with_fds(1);
    const auto message = connection_.receive();
    ASSERT_TRUE(message);
    EXPECT_EQ(fcntl(message->fds.at(0).get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(ConnectionTest, AsManyDescriptorsAsAllowedArriveAndAreClosedWithTheMessage) {
    const size_t before = open_fds();
    send_with_fds(fds_max);
    {
        const auto message = connection_.receive();
        ASSERT_TRUE(message);
        EXPECT_EQ(message->fds.size(), fds_max);
        EXPECT_EQ(open_fds(), before + fds_max);
    }
    EXPECT_EQ(open_fds(), before);
}

// 9 fit in the buffer for them, 20 do not: the kernel closes what it cuts off.
TEST_F(ConnectionTest, TooManyDescriptorsAreRefused) {
    send_with_fds(fds_max + 1);
    EXPECT_EQ(receive_fault(), ProtocolFault::too_many_fds);
}

TEST_F(ConnectionTest, FarTooManyDescriptorsAreRefused) {
    send_with_fds(20);
    EXPECT_EQ(receive_fault(), ProtocolFault::too_many_fds);
}

TEST_F(ConnectionTest, DescriptorsThatAddUpToTooManyAreRefused) {
    const auto payload = numbered(16);
    front_end_.send(set_mem_table, std::span(payload).first(0),
                    {.fds = std::vector<int>(fds_max, event_.get()), .announced_size = 16});
    ASSERT_EQ(receive_fault(), accepted);
    send_with_fds(1); // Its bytes are taken for the payload that is still missing.
    EXPECT_EQ(receive_fault(), ProtocolFault::too_many_fds);
}

TEST(Connection, ClosesWhatItReceivedAndRefused) {
    const size_t before = open_fds();
    {
        const UniqueFd event = fakes::make_eventfd();
        fakes::SocketPair sockets(SOCK_STREAM);
        Connection connection(std::move(sockets.ours));
        fakes::FrontEnd front_end(std::move(sockets.theirs));
        front_end.send(set_mem_table, {}, {.fds = std::vector<int>(20, event.get())});
        EXPECT_EQ(fault_of([&] { (void)connection.receive(); }), ProtocolFault::too_many_fds);
    }
    EXPECT_EQ(open_fds(), before);
}

TEST_F(ConnectionTest, CloseBetweenMessagesIsTheEnd) {
    front_end_.send(Request::get_features);
    front_end_.close();
    EXPECT_TRUE(connection_.receive());
    EXPECT_FALSE(connection_.closed());
    EXPECT_FALSE(connection_.receive());
    EXPECT_TRUE(connection_.closed());
}

TEST_F(ConnectionTest, CloseInTheMiddleOfAHeaderIsAFault) {
    const auto bytes = message_bytes({.request = 1, .flags = version, .size = 0});
    front_end_.send_raw(std::span(bytes).first(5));
    front_end_.close();
    EXPECT_EQ(receive_fault(), ProtocolFault::truncated_message);
    EXPECT_TRUE(connection_.closed());
}

TEST_F(ConnectionTest, CloseInTheMiddleOfAPayloadIsAFault) {
    front_end_.send(2, numbered(3), {.announced_size = 8});
    front_end_.close();
    EXPECT_EQ(receive_fault(), ProtocolFault::truncated_message);
}

TEST_F(ConnectionTest, CloseWithOurReplyUnreadIsTheEnd) {
    connection_.reply(Request::get_features, {.payload = numbered(8), .fd = {}});
    front_end_.close();
    EXPECT_FALSE(connection_.receive());
    EXPECT_TRUE(connection_.closed());
}

TEST_F(ConnectionTest, OtherVersionsAreRefused) {
    for (const uint32_t other : {0u, 2u, 3u}) {
        fakes::SocketPair sockets(SOCK_STREAM);
        Connection connection(std::move(sockets.ours));
        fakes::FrontEnd front_end(std::move(sockets.theirs));
        front_end.send(get_features, {}, {.flags = other});
        EXPECT_EQ(fault_of([&] { (void)connection.receive(); }), ProtocolFault::bad_version)
            << "version " << other;
    }
}

TEST_F(ConnectionTest, OversizedPayloadIsRefusedBeforeItComes) {
    front_end_.send(set_mem_table, {}, {.announced_size = payload_bytes_max + 1});
    EXPECT_EQ(receive_fault(), ProtocolFault::oversized_payload);
}

TEST_F(ConnectionTest, HugePayloadIsRefusedBeforeItComes) {
    front_end_.send(set_mem_table, {}, {.announced_size = UINT32_MAX});
    EXPECT_EQ(receive_fault(), ProtocolFault::oversized_payload);
}

TEST_F(ConnectionTest, ReplyArrivesMarkedAsOne) {
    const auto payload = numbered(8);
    connection_.reply(Request::get_features, {.payload = payload, .fd = {}});
    EXPECT_EQ(front_end_.receive(), payload); // It checks version and flags.
}

TEST_F(ConnectionTest, RepliesNobodyReadsAreAFaultAndNeverBlock) {
    constexpr size_t more_than_any_socket_holds = 1 << 20;
    const auto payload = numbered(8);
    const auto fault = fault_of([&] {
        for (size_t i = 0; i < more_than_any_socket_holds; ++i) {
            connection_.reply(Request::get_features, {.payload = payload, .fd = {}});
        }
    });
    EXPECT_EQ(fault, ProtocolFault::unread_reply);
}

TEST_F(ConnectionTest, ReplyToAPeerThatHasGoneIsNoFault) {
    front_end_.close();
    EXPECT_EQ(fault_of([&] {
                  connection_.reply(Request::get_features, {.payload = numbered(8), .fd = {}});
              }),
              accepted);
    EXPECT_FALSE(connection_.receive());
    EXPECT_TRUE(connection_.closed());
}

} // namespace
} // namespace tapline::vhost
