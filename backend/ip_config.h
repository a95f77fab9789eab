// Addresses and routes of a link, kept as the kernel told them, attribute by attribute: they can go
// to another link, or into a file, and come back as they were.
#pragma once

#include "backend/ip_prefix.h"
#include "backend/netlink.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tapline {

class IpAddress {
public:
    // An ifaddrmsg and its attributes. Throws Error where it is none of IPv4 or IPv6.
    explicit IpAddress(std::string message);
    static IpAddress make(const IpPrefix& prefix, int link);

    const std::string& message() const { return message_; }
    const IpPrefix& prefix() const { return prefix_; }
    int link() const;
    bool is_global() const; // Of scope "global".
    // The kernel made it of what a router advertises, and would make it again.
    bool is_advertised() const;
    bool same_as(const IpAddress& other) const; // Whatever the links and the flags.

    IpAddress moved_to(int link) const; // Without its label, which begins with the link's name.
    IpAddress with_lifetime_of(const IpAddress& other) const;

private:
    IpAddress(std::string message, IpPrefix prefix)
        : message_(std::move(message)), prefix_(prefix) {}

    std::string message_;
    IpPrefix prefix_;
};

class IpRoute {
public:
    // An rtmsg and its attributes. Throws Error where it is none of IPv4 or IPv6.
    explicit IpRoute(std::string message);
    // To what is on the link itself.
    static IpRoute make(const IpPrefix& destination, int link);

    const std::string& message() const { return message_; }
    const IpPrefix& destination() const { return destination_; }
    std::string text() const; // Its destination, as `ip route` writes it.
    bool uses(int link) const;
    bool uses_only(int link) const;
    // The kernel made it, of an address or of what a router told, and would make it again.
    bool is_kernels() const;
    bool is_local() const; // To the host itself, by the table "local".
    bool has_gateway() const;
    std::optional<uint32_t> nexthop_object() const; // Its number (`ip nexthop`).

    IpRoute moved(int from, int to) const; // The same with the one link in place of the other.

private:
    IpRoute(std::string message, IpPrefix destination)
        : message_(std::move(message)), destination_(destination) {}

    std::string message_;
    IpPrefix destination_;
};

// Of all links. Adding those of a link in this order gives the link the same list again.
std::vector<IpAddress> list_addresses(Netlink& netlink);
std::vector<IpRoute> list_routes(Netlink& netlink);

// Throw Error where the kernel refuses; the link's name is for the sentence.
// An address can be used at once: the kernel does not first look for others that have it.
void add_address(Netlink& netlink, const IpAddress& address, const std::string& link);
// Gives back the flags that add_address() changed.
void restore_flags(Netlink& netlink, const IpAddress& address, const std::string& link);
void delete_address(Netlink& netlink, const IpAddress& address, const std::string& link);

void add_route(Netlink& netlink, const IpRoute& route, const std::string& link);
// Behind others with the same destination; goes on where this very route is there.
void append_route(Netlink& netlink, const IpRoute& route, const std::string& link);
void delete_route(Netlink& netlink, const IpRoute& route, const std::string& link);

} // namespace tapline
