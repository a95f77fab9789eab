// A request about one link, built attribute by attribute.
#pragma once

#include "backend/mac_address.h"

#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <cstdint>
#include <memory>
#include <string>

namespace tapline {

class LinkRequest {
public:
    // RTM_NEWLINK that fails where the name is taken; the kernel tells what it made.
    static LinkRequest create();
    // RTM_SETLINK; set_up only where IFF_UP is among the flags.
    static LinkRequest change(int index, unsigned set_flags = 0, unsigned clear_flags = 0);
    // RTM_NEWLINK on a link there is: the one request that changes what belongs to its kind.
    static LinkRequest change_kind(int index);
    static LinkRequest remove(int index);
    static LinkRequest get(const std::string& name);
    static LinkRequest get(int index);
    static LinkRequest get_all();

    void put(int attribute, const std::string& text);
    void put(int attribute, const MacAddress& mac);
    void put(int attribute, uint8_t number) { put_bytes(attribute, &number, sizeof number); }
    void put(int attribute, uint16_t number) { put_bytes(attribute, &number, sizeof number); }
    void put(int attribute, uint32_t number) { put_bytes(attribute, &number, sizeof number); }

    // What is put while it lives goes inside the attribute.
    class Nest {
    public:
        Nest(const Nest&) = delete;
        Nest& operator=(const Nest&) = delete;
        ~Nest() { nla_nest_end(message_, start_); }

    private:
        friend class LinkRequest;
        Nest(nl_msg* message, int attribute);

        nl_msg* message_;
        nlattr* start_;
    };
    Nest nest(int attribute) { return {message_.get(), attribute}; }

    nl_msg* message() const { return message_.get(); }

private:
    LinkRequest(int type, int flags, const ifinfomsg& head);
    void put_bytes(int attribute, const void* bytes, size_t length);

    std::unique_ptr<nl_msg, decltype(&nlmsg_free)> message_;
};

} // namespace tapline
