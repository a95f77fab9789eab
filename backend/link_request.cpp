#include "backend/link_request.h"

#include <netlink/attr.h>
#include <sys/socket.h>

#include <new>

namespace tapline {

LinkRequest LinkRequest::create() {
    return {RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO, {}};
}

LinkRequest LinkRequest::change(int index, unsigned set_flags, unsigned clear_flags) {
    return {RTM_SETLINK,
            0,
            {.ifi_index = index, .ifi_flags = set_flags, .ifi_change = set_flags | clear_flags}};
}

LinkRequest LinkRequest::change_kind(int index) {
    return {RTM_NEWLINK, 0, {.ifi_index = index}};
}

LinkRequest LinkRequest::remove(int index) {
    return {RTM_DELLINK, 0, {.ifi_index = index}};
}

LinkRequest LinkRequest::get(const std::string& name) {
    LinkRequest request(RTM_GETLINK, 0, {});
    request.put(IFLA_IFNAME, name);
    return request;
}

LinkRequest LinkRequest::get(int index) {
    return {RTM_GETLINK, 0, {.ifi_index = index}};
}

LinkRequest LinkRequest::get_all() {
    return {RTM_GETLINK, NLM_F_DUMP, {}};
}

LinkRequest::LinkRequest(int type, int flags, const ifinfomsg& head)
    : message_(nlmsg_alloc_simple(type, flags), nlmsg_free) {
    if (!message_ || nlmsg_append(message_.get(), const_cast<ifinfomsg*>(&head), sizeof head,
                                  NLMSG_ALIGNTO) < 0) {
        throw std::bad_alloc();
    }
}

LinkRequest::Nest::Nest(nl_msg* message, int attribute)
    : message_(message), start_(nla_nest_start(message, attribute)) {
    if (start_ == nullptr) {
        throw std::bad_alloc();
    }
}

void LinkRequest::put(int attribute, const std::string& text) {
    put_bytes(attribute, text.c_str(), text.size() + 1);
}

void LinkRequest::put(int attribute, const MacAddress& mac) {
    put_bytes(attribute, mac.bytes().data(), mac.bytes().size());
}

void LinkRequest::put_bytes(int attribute, const void* bytes, size_t length) {
    if (nla_put(message_.get(), attribute, static_cast<int>(length), bytes) < 0) {
        throw std::bad_alloc(); // libnl's message is one page and does not grow.
    }
}

} // namespace tapline
