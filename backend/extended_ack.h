// The kernel's own words on why it refused a netlink request.
#pragma once

#include <linux/netlink.h>

#include <string>

namespace tapline {

// Of an NLMSG_ERROR message, all of whose nlmsg_len bytes are there; empty where it has none.
std::string extended_acknowledgement(const nlmsghdr* message);

} // namespace tapline
