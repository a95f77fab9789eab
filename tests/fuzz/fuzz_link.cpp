// An RTM_NEWLINK message whose attributes lie about their lengths and kinds.
#include "backend/link.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/netlink_input.h"

#include <linux/rtnetlink.h>

#include <algorithm>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace tapline;
    fuzz::NetlinkMessage message({data, size});
    const bool newlink = message.header()->nlmsg_type == RTM_NEWLINK;
    fuzz::require(newlink || !parse_link(message.header()));
    message.header()->nlmsg_type = RTM_NEWLINK;
    if (const auto link = parse_link(message.header())) {
        fuzz::require(link->index > 0 && !link->name.empty());
        fuzz::require(link->name.size() + link->kind.size() + link->alias.size() < size);
        fuzz::require(link->name.find('\0') == std::string::npos);
        fuzz::require(std::ranges::is_sorted(link->allowed_macs));
        fuzz::require(link->allowed_macs.size() * 6 < size);
    }
    return 0;
}
