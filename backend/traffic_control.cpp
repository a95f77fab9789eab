#include "backend/traffic_control.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>

#include <new>
#include <string_view>

namespace tapline {

TrafficRequest::TrafficRequest(int device_index, uint32_t parent, const char* kind)
    : message_(nlmsg_alloc(), nlmsg_free) {
    // Of a queueing discipline tcm_info means nothing.
    tcmsg head{.tcm_family = AF_UNSPEC,
               .tcm_ifindex = device_index,
               .tcm_parent = parent,
               .tcm_info = TC_H_MAKE(1U << 16, htons(ETH_P_ALL))};
    if (!message_ || nlmsg_append(message(), &head, sizeof head, NLMSG_ALIGNTO) < 0 ||
        nla_put_string(message(), TCA_KIND, kind) < 0) {
        throw std::bad_alloc();
    }
}

std::optional<Netlink::Refusal> TrafficRequest::send(Netlink& netlink, int type, int flags) const {
    const nlmsghdr* header = nlmsg_hdr(message());
    const std::string_view payload(static_cast<const char*>(nlmsg_data(header)),
                                   static_cast<size_t>(nlmsg_datalen(header)));
    return netlink.change(type, NLM_F_CREATE | flags, payload);
}

} // namespace tapline
