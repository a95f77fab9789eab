// Requests to the kernel's traffic control (RTM_*QDISC, RTM_*TFILTER) for one device.
#pragma once

#include "backend/netlink.h"

#include <netlink/msg.h>

#include <cstdint>
#include <memory>
#include <optional>

namespace tapline {

class TrafficRequest {
public:
    // kind is the name of a queueing discipline or a classifier. parent: what it hangs on, TC_H_*.
    TrafficRequest(int device_index, uint32_t parent, const char* kind);

    // For attributes.
    nl_msg* message() const { return message_.get(); }

    // type: RTM_NEW*. Nothing of the kind may be there yet, unless flags say NLM_F_REPLACE. Throws
    // Error where there is no answer.
    std::optional<Netlink::Refusal> send(Netlink& netlink, int type, int flags) const;

private:
    std::unique_ptr<nl_msg, decltype(&nlmsg_free)> message_;
};

} // namespace tapline
