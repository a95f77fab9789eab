// A route netlink socket: one request, one answer, errors with the kernel's own words.
#pragma once

#include "backend/link.h"
#include "backend/link_request.h"

#include <netlink/netlink.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tapline {

// Belongs to the network namespace it was opened in and to one thread.
class Netlink {
public:
    static Netlink open();

    // The kernel's refusal: its errno and, where it gave one, its extended acknowledgement.
    struct Refusal {
        int code;
        std::string text;
    };
    struct Answer {
        std::optional<Refusal> refusal;
        std::vector<Link> links; // Those it described.
    };
    // Throws Error where there is no answer, as all of these do.
    Answer request(const LinkRequest& request);

    // Nothing where there is no such link.
    std::optional<Link> link(const std::string& name) { return only_link(LinkRequest::get(name)); }
    std::optional<Link> link(int index) { return only_link(LinkRequest::get(index)); }
    std::vector<Link> links();

    // Of any type (RTM_*); the payload is its fixed header and the attributes.
    std::optional<Refusal> change(int type, int flags, std::string_view payload);
    // The payloads of all the kernel has of a type (RTM_GET*), as they were at one moment.
    std::vector<std::string> dump(int type);

private:
    using Socket = std::unique_ptr<nl_sock, decltype(&nl_socket_free)>;

    explicit Netlink(Socket socket) : socket_(std::move(socket)) {}
    struct Exchange;
    void exchange(nl_msg* message, Exchange& exchange);
    template <typename Dump> void repeat_dump(Dump dump);
    std::optional<Link> only_link(const LinkRequest& request);

    Socket socket_;
};

} // namespace tapline
