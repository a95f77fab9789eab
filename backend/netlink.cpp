#include "backend/netlink.h"

#include "backend/base/error.h"

#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <sys/socket.h>

#include <array>
#include <new>
#include <system_error>
#include <utility>

namespace tapline {
namespace {

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

// What the callbacks of one exchange gather.
struct Exchange {
    Netlink::Answer answer;
    bool done = false;
};

int on_refusal(sockaddr_nl*, nlmsgerr* error, void* context) {
    const int code = -error->error;
    std::string text = std::generic_category().message(code);
    if (const std::string why = extended_acknowledgement(error); !why.empty()) {
        text += ", " + why;
    }
    auto& exchange = *static_cast<Exchange*>(context);
    exchange.answer.refusal = {.code = code, .text = text};
    exchange.done = true;
    return NL_STOP;
}

int on_end(nl_msg*, void* context) {
    static_cast<Exchange*>(context)->done = true;
    return NL_STOP;
}

int on_message(nl_msg* message, void* context) {
    if (auto link = parse_link(nlmsg_hdr(message))) {
        static_cast<Exchange*>(context)->answer.links.push_back(std::move(*link));
    }
    return NL_OK;
}

} // namespace

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

Netlink::Answer Netlink::request(nl_msg* message) {
    if (const int result = nl_send_auto(socket_.get(), message); result < 0) {
        fail("send a netlink request", result);
    }
    const Callbacks callbacks(nl_cb_alloc(NL_CB_DEFAULT), nl_cb_put);
    Exchange exchange;
    nl_cb_err(callbacks.get(), NL_CB_CUSTOM, on_refusal, &exchange);
    nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, on_end, &exchange);
    nl_cb_set(callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM, on_end, &exchange);
    nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, on_message, &exchange);
    while (!exchange.done) {
        const int result = nl_recvmsgs(socket_.get(), callbacks.get());
        // A dump during which something changed lacks nothing that was there all the time.
        if (result < 0 && result != -NLE_DUMP_INTR && !exchange.done) {
            fail("read the answer to a netlink request", result);
        }
    }
    return std::move(exchange.answer);
}

std::optional<Link> Netlink::only_link(const LinkRequest& request) {
    Answer answer = this->request(request);
    if (answer.refusal && answer.refusal->code != ENODEV) {
        throw Error({.operation = "read a link over netlink",
                     .cause = answer.refusal->text,
                     .code = answer.refusal->code});
    }
    if (answer.refusal || answer.links.empty()) {
        return std::nullopt;
    }
    return std::move(answer.links.front());
}

std::vector<Link> Netlink::links() {
    Answer answer = request(LinkRequest::get_all());
    if (answer.refusal) {
        throw Error({.operation = "list links over netlink",
                     .cause = answer.refusal->text,
                     .code = answer.refusal->code});
    }
    return std::move(answer.links);
}

} // namespace tapline
