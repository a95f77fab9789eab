// A netlink message written by hand, with whatever lengths a test wants in it.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tapline {

template <typename Value> std::string bytes_of(const Value& value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

// Whose header says that it is length bytes long, where that is not what it is.
inline std::string attribute(unsigned type, std::string_view payload, size_t length = 0) {
    const nlattr head{
        .nla_len = static_cast<uint16_t>(length != 0 ? length : sizeof head + payload.size()),
        .nla_type = static_cast<uint16_t>(type)};
    std::string bytes = bytes_of(head).append(payload);
    bytes.resize(NLMSG_ALIGN(bytes.size()));
    return bytes;
}

inline std::string text_attribute(unsigned type, const std::string& text) {
    return attribute(type, {text.c_str(), text.size() + 1});
}

template <typename Number> std::string number_attribute(unsigned type, Number number) {
    return attribute(type, bytes_of(number));
}

class HandMadeMessage {
public:
    HandMadeMessage(uint16_t type, uint16_t flags, std::string_view payload)
        : bytes_(NLMSG_HDRLEN, '\0') {
        bytes_.append(payload);
        header()->nlmsg_type = type;
        header()->nlmsg_flags = flags;
        header()->nlmsg_len = static_cast<uint32_t>(bytes_.size());
    }

    nlmsghdr* header() { return static_cast<nlmsghdr*>(static_cast<void*>(bytes_.data())); }

private:
    std::string bytes_;
};

} // namespace tapline
