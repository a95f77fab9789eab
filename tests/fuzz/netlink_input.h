// A fuzzer's bytes as one netlink message: its length is the truth, all inside it may lie.
#pragma once

#include <linux/netlink.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace tapline::fuzz {

class NetlinkMessage {
public:
    // The type and flags of its header are those of the bytes, or a header of zeros.
    explicit NetlinkMessage(std::span<const uint8_t> bytes) : bytes_(bytes.begin(), bytes.end()) {
        bytes_.resize(std::max(bytes_.size(), sizeof(nlmsghdr)));
        header()->nlmsg_len = static_cast<uint32_t>(bytes_.size());
    }

    nlmsghdr* header() { return static_cast<nlmsghdr*>(static_cast<void*>(bytes_.data())); }

private:
    std::vector<uint8_t> bytes_; // Of the exact size: a sanitizer sees what reads on.
};

} // namespace tapline::fuzz
