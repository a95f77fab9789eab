#include "backend/netlink.h"

#include "backend/base/error.h"
#include "backend/extended_ack.h"

#include <linux/rtnetlink.h>
#include <netlink/errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>
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

// libnl hands out the payload, in the buffer that has its header in front.
const nlmsghdr* header_of(const nlmsgerr* payload) {
    return static_cast<const nlmsghdr*>(static_cast<const void*>(
        static_cast<const char*>(static_cast<const void*>(payload)) - NLMSG_HDRLEN));
}

std::function<void(const nlmsghdr*)> add_links_to(std::vector<Link>& links) {
    return [&links](const nlmsghdr* message) {
        if (auto link = parse_link(message)) {
            links.push_back(std::move(*link));
        }
    };
}

constexpr unsigned dump_tries_max = 100;
// The kernel's dumps come in at most 32 KiB; one link with a long list inside can have more.
constexpr size_t message_bytes_max = 64 << 10;

} // namespace

// What the callbacks of one request and its answer gather.
struct Netlink::Exchange {
    std::function<void(const nlmsghdr*)> on_message = [](const nlmsghdr*) {};
    std::optional<Refusal> refusal = std::nullopt;
    bool done = false;
    bool interrupted = false; // Something changed during a dump.

    static int refused(sockaddr_nl*, nlmsgerr* error, void* self) {
        const int code = -error->error;
        std::string text = std::generic_category().message(code);
        if (const std::string why = extended_acknowledgement(header_of(error)); !why.empty()) {
            text += ", " + why;
        }
        static_cast<Exchange*>(self)->refusal = {.code = code, .text = text};
        static_cast<Exchange*>(self)->done = true;
        return NL_STOP;
    }

    static int ended(nl_msg*, void* self) {
        static_cast<Exchange*>(self)->done = true;
        return NL_STOP;
    }

    static int told(nl_msg* message, void* self) {
        static_cast<Exchange*>(self)->on_message(nlmsg_hdr(message));
        return NL_OK;
    }
};

template <typename Dump> void Netlink::repeat_dump(Dump dump) {
    for (unsigned tries = 0; tries < dump_tries_max; ++tries) {
        Exchange exchange;
        dump(exchange);
        if (exchange.refusal) {
            throw Error({.operation = "list what there is over netlink",
                         .cause = exchange.refusal->text,
                         .code = exchange.refusal->code});
        }
        if (!exchange.interrupted) {
            return;
        }
    }
    throw Error({.operation = "list what there is over netlink",
                 .cause = "it changes all the time",
                 .next_step = "try again"});
}

Netlink Netlink::open() {
    Socket socket(nl_socket_alloc(), nl_socket_free);
    if (!socket) {
        throw std::bad_alloc();
    }
    if (const int result = nl_connect(socket.get(), NETLINK_ROUTE); result < 0) {
        fail("open a route netlink socket", result);
    }
    // Else libnl asks for the length of each message first, which is a system call for each.
    nl_socket_disable_msg_peek(socket.get());
    if (const int result = nl_socket_set_msg_buf_size(socket.get(), message_bytes_max);
        result < 0) {
        fail("open a route netlink socket", result);
    }
    const int on = 1; // Best effort: without it an error is an errno and no more.
    (void)setsockopt(nl_socket_get_fd(socket.get()), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    return Netlink(std::move(socket));
}

void Netlink::exchange(nl_msg* message, Exchange& exchange) {
    if (const int result = nl_send_auto(socket_.get(), message); result < 0) {
        fail("send a netlink request", result);
    }
    const Callbacks callbacks(nl_cb_alloc(NL_CB_DEFAULT), nl_cb_put);
    nl_cb_err(callbacks.get(), NL_CB_CUSTOM, Exchange::refused, &exchange);
    nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, Exchange::ended, &exchange);
    nl_cb_set(callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM, Exchange::ended, &exchange);
    nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, Exchange::told, &exchange);
    while (!exchange.done) {
        const int result = nl_recvmsgs(socket_.get(), callbacks.get());
        exchange.interrupted |= result == -NLE_DUMP_INTR;
        if (result < 0 && result != -NLE_DUMP_INTR && !exchange.done) {
            fail("read the answer to a netlink request", result);
        }
    }
}

Netlink::Answer Netlink::request(const LinkRequest& request) {
    Answer answer;
    Exchange exchange{.on_message = add_links_to(answer.links)};
    this->exchange(request.message(), exchange);
    answer.refusal = std::move(exchange.refusal);
    return answer;
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

// As they were at one moment: a dump during which something changed may lack what was there.
std::vector<Link> Netlink::links() {
    std::vector<Link> links;
    repeat_dump([&](Exchange& exchange) {
        links.clear();
        exchange.on_message = add_links_to(links);
        this->exchange(LinkRequest::get_all().message(), exchange);
    });
    return links;
}

std::optional<Netlink::Refusal> Netlink::change(int type, int flags, std::string_view payload) {
    const int length = static_cast<int>(payload.size());
    const Message message(nlmsg_alloc_size(static_cast<size_t>(nlmsg_total_size(length))),
                          nlmsg_free);
    if (!message) {
        throw std::bad_alloc();
    }
    nlmsghdr* header = nlmsg_put(message.get(), NL_AUTO_PORT, NL_AUTO_SEQ, type, length, flags);
    std::ranges::copy(payload, static_cast<char*>(nlmsg_data(header)));
    Exchange exchange;
    this->exchange(message.get(), exchange);
    return exchange.refusal;
}

std::vector<std::string> Netlink::dump(int type) {
    rtgenmsg everything{.rtgen_family = AF_UNSPEC};
    std::vector<std::string> entries;
    repeat_dump([&](Exchange& exchange) {
        const Message message(nlmsg_alloc_simple(type, NLM_F_DUMP), nlmsg_free);
        if (!message || nlmsg_append(message.get(), &everything, sizeof everything, 0) < 0) {
            throw std::bad_alloc();
        }
        entries.clear();
        exchange.on_message = [&](const nlmsghdr* entry) {
            entries.emplace_back(static_cast<const char*>(nlmsg_data(entry)), nlmsg_datalen(entry));
        };
        this->exchange(message.get(), exchange);
    });
    return entries;
}

} // namespace tapline
