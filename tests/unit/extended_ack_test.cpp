#include "backend/extended_ack.h"

#include "tests/unit/netlink_message.h"

#include <gtest/gtest.h>

namespace tapline {
namespace {

constexpr uint16_t told = NLM_F_ACK_TLVS;
constexpr uint16_t told_capped = NLM_F_ACK_TLVS | NLM_F_CAPPED;

// With the start of a request that says it is request_bytes long.
std::string refusal(uint32_t request_bytes) {
    return bytes_of(nlmsgerr{.error = -22, .msg = {.nlmsg_len = request_bytes}});
}

std::string words_of(uint16_t flags, const std::string& payload) {
    HandMadeMessage message(NLMSG_ERROR, flags, payload);
    return extended_acknowledgement(message.header());
}

const std::string words = text_attribute(NLMSGERR_ATTR_MSG, "Invalid mode");

TEST(ExtendedAcknowledgement, StandsBehindTheStartOfTheRequest) {
    EXPECT_EQ(words_of(told_capped, refusal(500) + words), "Invalid mode");
}

TEST(ExtendedAcknowledgement, StandsBehindTheWholeRequestWhereThatWasEchoed) {
    EXPECT_EQ(words_of(told, refusal(16 + 6) + std::string("echoed\0\0", 8) + words),
              "Invalid mode");
}

TEST(ExtendedAcknowledgement, IsEmptyWhereTheKernelGaveNone) {
    EXPECT_EQ(words_of(NLM_F_CAPPED, refusal(16) + words), "");
    EXPECT_EQ(words_of(told_capped, refusal(16)), "");
    EXPECT_EQ(words_of(told_capped, refusal(16) + number_attribute(NLMSGERR_ATTR_OFFS, 8)), "");
}

TEST(ExtendedAcknowledgement, IsEmptyWhereLengthsLie) {
    for (const uint32_t request_bytes : {0U, 12U, 100U, 0x7fffffffU, 0xfffffffeU, 0xffffffffU}) {
        EXPECT_EQ(words_of(told, refusal(request_bytes) + words), "") << request_bytes;
    }
    for (size_t bytes = 0; bytes < sizeof(nlmsgerr); ++bytes) {
        EXPECT_EQ(words_of(told, refusal(16).substr(0, bytes)), "") << bytes;
    }
    EXPECT_EQ(words_of(told_capped, refusal(16) + attribute(NLMSGERR_ATTR_MSG, "long", 400)), "");
}

TEST(ExtendedAcknowledgement, EndsWithItsAttribute) {
    EXPECT_EQ(words_of(told_capped, refusal(16) + attribute(NLMSGERR_ATTR_MSG, "full")), "full");
}

} // namespace
} // namespace tapline
