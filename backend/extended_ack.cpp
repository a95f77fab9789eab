#include "backend/extended_ack.h"

#include <netlink/attr.h>
#include <netlink/msg.h>

#include <array>
#include <cstring>

namespace tapline {
namespace {

// include/uapi/linux/netlink.h: the attributes follow the request as far as it was echoed.
size_t bytes_before_attributes(const nlmsghdr* message, const nlmsgerr& answer) {
    const size_t echoed = (message->nlmsg_flags & NLM_F_CAPPED) != 0
                              ? sizeof(nlmsghdr)
                              : NLMSG_ALIGN(size_t{answer.msg.nlmsg_len});
    return sizeof answer - sizeof(nlmsghdr) + echoed;
}

} // namespace

std::string extended_acknowledgement(const nlmsghdr* message) {
    nlmsgerr answer{};
    if ((message->nlmsg_flags & NLM_F_ACK_TLVS) == 0 ||
        message->nlmsg_len < NLMSG_LENGTH(sizeof answer)) {
        return {};
    }
    auto* payload = static_cast<char*>(nlmsg_data(message));
    std::memcpy(&answer, payload, sizeof answer);
    const size_t length = message->nlmsg_len - NLMSG_HDRLEN;
    const size_t offset = bytes_before_attributes(message, answer);
    if (offset < sizeof answer || offset >= length) {
        return {};
    }
    std::array<nlattr*, NLMSGERR_ATTR_MAX + 1> attributes{};
    auto* head = static_cast<nlattr*>(static_cast<void*>(payload + offset));
    if (nla_parse(attributes.data(), NLMSGERR_ATTR_MAX, head, static_cast<int>(length - offset),
                  nullptr) < 0 ||
        attributes[NLMSGERR_ATTR_MSG] == nullptr) {
        return {};
    }
    const auto* text = static_cast<const char*>(nla_data(attributes[NLMSGERR_ATTR_MSG]));
    const int room = nla_len(attributes[NLMSGERR_ATTR_MSG]);
    return {text, strnlen(text, static_cast<size_t>(room))};
}

} // namespace tapline
