#include "backend/multicast_filter.h"

#include "backend/base/error.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <memory>
#include <new>
#include <optional>
#include <string_view>

namespace tapline {
namespace {

using Message = std::unique_ptr<nl_msg, decltype(&nlmsg_free)>;

constexpr auto undecided = static_cast<uint32_t>(TC_ACT_UNSPEC);

// Classic BPF, as loading it takes CAP_NET_ADMIN alone; tapline-helper has not more. Offsets count
// from the Ethernet header. Jumps are so many lines behind the next, where true and where false.
constexpr sock_filter program[] = {
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),                  // The first byte of the destination,
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 5),          // its group bit: not set, let it pass.
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),                  // The first four bytes
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffff'ffff, 0, 2), // are not those of broadcast: drop.
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),                  // The last two
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffff, 1, 0),      // are: let it pass.
    BPF_STMT(BPF_RET | BPF_K, TC_ACT_SHOT),                 // Drop.
    BPF_STMT(BPF_RET | BPF_K, undecided),                   // Let it pass.
};

template <typename Value> void put(const Message& message, int attribute, const Value& value) {
    if (nla_put(message.get(), attribute, sizeof value, &value) < 0) {
        throw std::bad_alloc();
    }
}

Message describe(const MacvtapDevice& device, uint32_t parent, const char* kind) {
    Message message(nlmsg_alloc(), nlmsg_free);
    // Of a queueing discipline tcm_info means nothing.
    tcmsg head{.tcm_family = AF_UNSPEC,
               .tcm_ifindex = device.index,
               .tcm_parent = parent,
               .tcm_info = TC_H_MAKE(1U << 16, htons(ETH_P_ALL))};
    if (!message || nlmsg_append(message.get(), &head, sizeof head, NLMSG_ALIGNTO) < 0 ||
        nla_put_string(message.get(), TCA_KIND, kind) < 0) {
        throw std::bad_alloc();
    }
    return message;
}

void send(Netlink& netlink, const MacvtapDevice& device, int type, const Message& message) {
    const nlmsghdr* header = nlmsg_hdr(message.get());
    const std::string_view payload(static_cast<const char*>(nlmsg_data(header)),
                                   static_cast<size_t>(nlmsg_datalen(header)));
    if (const auto refusal = netlink.change(type, NLM_F_CREATE | NLM_F_EXCL, payload)) {
        throw Error({.operation = fmt::format("keep multicast from '{}'", device.name),
                     .cause = refusal->text,
                     .next_step = "modprobe sch_ingress cls_bpf, or use --multicast joined",
                     .code = refusal->code});
    }
}

} // namespace

// net/core/dev.c runs what is at the ingress hook of a device before its rx_handler, the tap.
void add_multicast_filter(Netlink& netlink, const MacvtapDevice& device) {
    const Message hooks = describe(device, TC_H_CLSACT, "clsact");
    send(netlink, device, RTM_NEWQDISC, hooks);

    const Message filter = describe(device, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), "bpf");
    nlattr* options = nla_nest_start(filter.get(), TCA_OPTIONS);
    put(filter, TCA_BPF_OPS_LEN, static_cast<uint16_t>(std::size(program)));
    put(filter, TCA_BPF_OPS, program);
    put(filter, TCA_BPF_FLAGS, uint32_t{TCA_BPF_FLAG_ACT_DIRECT}); // It returns TC_ACT_*.
    nla_nest_end(filter.get(), options);
    send(netlink, device, RTM_NEWTFILTER, filter);
}

} // namespace tapline
