// A route netlink socket: one request, one answer, errors with the kernel's own words.
#pragma once

#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tapline {

using RtnlLink = std::unique_ptr<rtnl_link, decltype(&rtnl_link_put)>;
using RtnlLinkCache = std::unique_ptr<nl_cache, decltype(&nl_cache_free)>;

RtnlLink make_rtnl_link();

// Belongs to the network namespace it was opened in and to one thread.
class Netlink {
public:
    static Netlink open();

    // nullptr where there is no such link.
    RtnlLink link(const std::string& name);
    RtnlLinkCache links();

    // The kernel's refusal: its errno and, where it gave one, its extended acknowledgement.
    struct Refusal {
        int code;
        std::string text;
    };
    std::optional<Refusal> add_link(rtnl_link* link);
    std::optional<Refusal> change_link(rtnl_link* link, rtnl_link* changes);
    std::optional<Refusal> delete_link(rtnl_link* link);

    // Of any type (RTM_*); the payload is its fixed header and the attributes.
    std::optional<Refusal> change(int type, int flags, std::string_view payload);
    // The payloads of all the kernel has of a type (RTM_GET*).
    std::vector<std::string> dump(int type);

private:
    using Socket = std::unique_ptr<nl_sock, decltype(&nl_socket_free)>;

    explicit Netlink(Socket socket) : socket_(std::move(socket)) {}
    std::optional<Refusal> request(nl_msg* message, int build_result);

    Socket socket_;
};

} // namespace tapline
