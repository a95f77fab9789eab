#include "backend/netlink.h"

#include "backend/base/error.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <new>
#include <system_error>
#include <utility>

namespace tapline {
namespace {

using Message = std::unique_ptr<nl_msg, decltype(&nlmsg_free)>;
using Callbacks = std::unique_ptr<nl_cb, decltype(&nl_cb_put)>;

[[noreturn]] void fail(const char* operation, int libnl_code) {
    throw Error({.operation = operation, .cause = nl_geterror(libnl_code)});
}

// include/uapi/linux/netlink.h: the attributes follow the request as far as it was echoed.
std::string extended_acknowledgement(const nlmsgerr* answer) {
    const auto* header =
        reinterpret_cast<const nlmsghdr*>(reinterpret_cast<const char*>(answer) - NLMSG_HDRLEN);
    if ((header->nlmsg_flags & NLM_F_ACK_TLVS) == 0) {
        return {};
    }
    size_t offset = sizeof(nlmsgerr);
    if ((header->nlmsg_flags & NLM_F_CAPPED) == 0) {
        offset += NLMSG_ALIGN(answer->msg.nlmsg_len) - sizeof(nlmsghdr);
    }
    const size_t length = header->nlmsg_len - NLMSG_HDRLEN;
    if (header->nlmsg_len < NLMSG_HDRLEN || offset >= length) {
        return {};
    }
    std::array<nlattr*, NLMSGERR_ATTR_MAX + 1> attributes{};
    auto* head = reinterpret_cast<nlattr*>(
        const_cast<char*>(reinterpret_cast<const char*>(answer) + offset));
    if (nla_parse(attributes.data(), NLMSGERR_ATTR_MAX, head, static_cast<int>(length - offset),
                  nullptr) < 0 ||
        attributes[NLMSGERR_ATTR_MSG] == nullptr) {
        return {};
    }
    const nlattr* text = attributes[NLMSGERR_ATTR_MSG];
    return {static_cast<const char*>(nla_data(text)),
            strnlen(static_cast<const char*>(nla_data(text)), static_cast<size_t>(nla_len(text)))};
}

struct Answer {
    bool done = false;
    std::optional<Netlink::Refusal> refusal;
};

int on_refusal(sockaddr_nl*, nlmsgerr* answer, void* context) {
    const int code = -answer->error;
    std::string text = std::generic_category().message(code);
    if (const std::string why = extended_acknowledgement(answer); !why.empty()) {
        text += ", " + why;
    }
    *static_cast<Answer*>(context) = {.done = true, .refusal = {{.code = code, .text = text}}};
    return NL_STOP;
}

int on_acknowledgement(nl_msg*, void* context) {
    static_cast<Answer*>(context)->done = true;
    return NL_STOP;
}

int on_entry(nl_msg* message, void* context) {
    const nlmsghdr* header = nlmsg_hdr(message);
    static_cast<std::vector<std::string>*>(context)->emplace_back(
        static_cast<const char*>(nlmsg_data(header)), nlmsg_datalen(header));
    return NL_OK;
}

} // namespace

RtnlLink make_rtnl_link() {
    RtnlLink link(rtnl_link_alloc(), rtnl_link_put);
    if (!link) {
        throw std::bad_alloc();
    }
    return link;
}

Netlink Netlink::open() {
    Socket socket(nl_socket_alloc(), nl_socket_free);
    if (!socket) {
        throw std::bad_alloc();
    }
    if (const int result = nl_connect(socket.get(), NETLINK_ROUTE); result < 0) {
        fail("open a route netlink socket", result);
    }
    const int on = 1; // Best effort: without it an error is an errno and no more.
    (void)setsockopt(nl_socket_get_fd(socket.get()), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    return Netlink(std::move(socket));
}

RtnlLink Netlink::link(const std::string& name) {
    rtnl_link* found = nullptr;
    const int result = rtnl_link_get_kernel(socket_.get(), 0, name.c_str(), &found);
    if (result < 0 && result != -NLE_NODEV && result != -NLE_OBJ_NOTFOUND) {
        fail("read a link over netlink", result);
    }
    return {result < 0 ? nullptr : found, rtnl_link_put};
}

RtnlLinkCache Netlink::links() {
    nl_cache* cache = nullptr;
    if (const int result = rtnl_link_alloc_cache(socket_.get(), AF_UNSPEC, &cache); result < 0) {
        fail("list links over netlink", result);
    }
    return {cache, nl_cache_free};
}

std::optional<Netlink::Refusal> Netlink::add_link(rtnl_link* link) {
    nl_msg* message = nullptr;
    const int built = rtnl_link_build_add_request(link, NLM_F_CREATE | NLM_F_EXCL, &message);
    return request(message, built);
}

std::optional<Netlink::Refusal> Netlink::change_link(rtnl_link* link, rtnl_link* changes) {
    nl_msg* message = nullptr;
    const int built = rtnl_link_build_change_request(link, changes, 0, &message);
    return request(message, built);
}

std::optional<Netlink::Refusal> Netlink::delete_link(rtnl_link* link) {
    nl_msg* message = nullptr;
    const int built = rtnl_link_build_delete_request(link, &message);
    return request(message, built);
}

std::optional<Netlink::Refusal> Netlink::change(int type, int flags, std::string_view payload) {
    nl_msg* message = nlmsg_alloc_size(nlmsg_total_size(static_cast<int>(payload.size())));
    if (message == nullptr) {
        throw std::bad_alloc();
    }
    nlmsghdr* header = nlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, type,
                                 static_cast<int>(payload.size()), flags);
    std::ranges::copy(payload, static_cast<char*>(nlmsg_data(header)));
    return request(message, 0);
}

std::vector<std::string> Netlink::dump(int type) {
    rtgenmsg everything{.rtgen_family = AF_UNSPEC};
    std::vector<std::string> entries;
    int result = -NLE_DUMP_INTR;
    while (result == -NLE_DUMP_INTR) { // Something changed meanwhile: the list may have holes.
        entries.clear();
        result = nl_send_simple(socket_.get(), type, NLM_F_DUMP, &everything, sizeof everything);
        if (result >= 0) {
            const Callbacks callbacks(nl_cb_alloc(NL_CB_DEFAULT), nl_cb_put);
            nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, on_entry, &entries);
            result = nl_recvmsgs(socket_.get(), callbacks.get());
        }
    }
    if (result < 0) {
        fail("list addresses or routes over netlink", result);
    }
    return entries;
}

std::optional<Netlink::Refusal> Netlink::request(nl_msg* message, int build_result) {
    if (build_result < 0) {
        fail("build a netlink request", build_result);
    }
    const Message owned(message, nlmsg_free);
    if (const int result = nl_send_auto(socket_.get(), message); result < 0) {
        fail("send a netlink request", result);
    }
    const Callbacks callbacks(nl_cb_alloc(NL_CB_DEFAULT), nl_cb_put);
    Answer answer;
    nl_cb_err(callbacks.get(), NL_CB_CUSTOM, on_refusal, &answer);
    nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, on_acknowledgement, &answer);
    while (!answer.done) {
        const int result = nl_recvmsgs(socket_.get(), callbacks.get());
        if (result < 0 && !answer.done) {
            fail("read the answer to a netlink request", result);
        }
    }
    return answer.refusal;
}

} // namespace tapline
