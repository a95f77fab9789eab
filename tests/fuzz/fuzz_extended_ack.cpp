// A refusal of the kernel whose lengths do not fit together.
#include "backend/extended_ack.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/netlink_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace tapline;
    fuzz::NetlinkMessage message({data, size});
    const std::string words = extended_acknowledgement(message.header());
    fuzz::require(words.empty() || words.size() + NLMSG_LENGTH(sizeof(nlmsgerr)) < size);
    fuzz::require(words.find('\0') == std::string::npos);
    return 0;
}
