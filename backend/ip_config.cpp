#include "backend/ip_config.h"

#include "backend/base/error.h"

#include <fmt/format.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

namespace tapline {
namespace {

template <typename Header> Header header_of(const std::string& message) {
    Header header{};
    if (message.size() < sizeof header) {
        throw Error({.operation = "read an address or route", .cause = "the message is too short"});
    }
    std::memcpy(&header, message.data(), sizeof header);
    return header;
}

template <typename Header> void set_header(std::string& message, const Header& header) {
    std::memcpy(message.data(), &header, sizeof header);
}

template <typename Header> std::string_view attributes_of(const std::string& message) {
    return std::string_view(message).substr(NLMSG_ALIGN(sizeof(Header)));
}

const nlattr* as_attribute(std::string_view bytes) {
    return static_cast<const nlattr*>(static_cast<const void*>(bytes.data()));
}

template <typename Header>
std::optional<std::string> attribute(const std::string& message, int type) {
    const std::string_view all = attributes_of<Header>(message);
    const nlattr* found = nla_find(as_attribute(all), static_cast<int>(all.size()), type);
    if (found == nullptr) {
        return std::nullopt;
    }
    return std::string(static_cast<const char*>(nla_data(found)),
                       static_cast<size_t>(nla_len(found)));
}

template <typename Header>
std::optional<uint32_t> number_attribute(const std::string& message, int type) {
    const auto payload = attribute<Header>(message, type);
    uint32_t value = 0;
    if (!payload || payload->size() != sizeof value) {
        return std::nullopt;
    }
    std::memcpy(&value, payload->data(), sizeof value);
    return value;
}

void append(std::string& message, int type, std::string_view payload) {
    const nlattr head{.nla_len = static_cast<uint16_t>(NLA_HDRLEN + payload.size()),
                      .nla_type = static_cast<uint16_t>(type)};
    message.append(std::string(NLA_HDRLEN, '\0'));
    std::memcpy(message.data() + message.size() - NLA_HDRLEN, &head, sizeof head);
    message.append(payload);
    message.resize(NLMSG_ALIGN(message.size()));
}

template <typename Number> std::string bytes_of(Number number) {
    std::string bytes(sizeof number, '\0');
    std::memcpy(bytes.data(), &number, sizeof number);
    return bytes;
}

template <typename Header> std::string without(const std::string& message, int type) {
    std::string shorter = message.substr(0, NLMSG_ALIGN(sizeof(Header)));
    const std::string_view all = attributes_of<Header>(message);
    int left = static_cast<int>(all.size());
    for (const nlattr* each = as_attribute(all); nla_ok(each, left) != 0;
         each = nla_next(each, &left)) {
        if (nla_type(each) != type) {
            append(shorter, each->nla_type,
                   {static_cast<const char*>(nla_data(each)), static_cast<size_t>(nla_len(each))});
        }
    }
    return shorter;
}

template <typename Header>
std::string with(const std::string& message, int type, std::string_view payload) {
    std::string changed = without<Header>(message, type);
    append(changed, type, payload);
    return changed;
}

IpFamily family_of(unsigned char family) {
    if (family != AF_INET && family != AF_INET6) {
        throw Error({.operation = "read an address or route",
                     .cause = fmt::format("address family {} is neither of IP", family)});
    }
    return family == AF_INET ? IpFamily::v4 : IpFamily::v6;
}

IpPrefix prefix_of(unsigned char family, const std::string& address, unsigned length) {
    const IpPrefix prefix(family_of(family), {}, length);
    if (length > prefix.address_bits()) {
        throw Error({.operation = "read an address or route",
                     .cause = fmt::format("it has a prefix of {} bits", length)});
    }
    IpPrefix::Bytes bytes{};
    std::copy_n(address.begin(), std::min<size_t>(address.size(), prefix.address_bits() / 8),
                bytes.begin());
    return {prefix.family(), bytes, length};
}

std::string address_bytes(const IpPrefix& prefix) {
    return {prefix.bytes().begin(), prefix.bytes().begin() + prefix.address_bits() / 8};
}

unsigned char kernel_family(const IpPrefix& prefix) {
    return prefix.family() == IpFamily::v4 ? AF_INET : AF_INET6;
}

IpPrefix prefix_of_address(const std::string& message) {
    const auto header = header_of<ifaddrmsg>(message);
    const auto address = attribute<ifaddrmsg>(message, IFA_ADDRESS).value_or("");
    return prefix_of(header.ifa_family, attribute<ifaddrmsg>(message, IFA_LOCAL).value_or(address),
                     header.ifa_prefixlen);
}

IpPrefix prefix_of_route(const std::string& message) {
    const auto header = header_of<rtmsg>(message);
    return prefix_of(header.rtm_family, attribute<rtmsg>(message, RTA_DST).value_or(""),
                     header.rtm_dst_len);
}

uint32_t flags_of(const std::string& message) {
    return number_attribute<ifaddrmsg>(message, IFA_FLAGS)
        .value_or(header_of<ifaddrmsg>(message).ifa_flags);
}

// Calls visit with each next hop of a route over several links, which it may change.
template <typename Visit> void for_each_hop(std::string& hops, Visit visit) {
    rtnexthop hop{};
    for (size_t at = 0; at + sizeof hop <= hops.size();
         at += std::max<size_t>(RTNH_ALIGN(hop.rtnh_len), sizeof hop)) {
        std::memcpy(&hop, hops.data() + at, sizeof hop);
        visit(hop);
        std::memcpy(hops.data() + at, &hop, sizeof hop);
    }
}

// Of its flags only "onlink" is a wish; the others are the kernel's findings, which it takes back
// from nobody.
std::string without_findings(std::string message) {
    auto header = header_of<rtmsg>(message);
    header.rtm_flags &= RTNH_F_ONLINK;
    set_header(message, header);
    if (auto hops = attribute<rtmsg>(message, RTA_MULTIPATH)) {
        for_each_hop(*hops, [](rtnexthop& hop) { hop.rtnh_flags &= RTNH_F_ONLINK; });
        message = with<rtmsg>(message, RTA_MULTIPATH, *hops);
    }
    return message;
}

const char* next_step(int code) {
    switch (code) {
    case EPERM:
        return "needs CAP_NET_ADMIN: run as root";
    case EACCES:
        return "where IPv6 is off: sysctl net.ipv6.conf.default.disable_ipv6=0";
    case EEXIST:
        return "see `ip address` and `ip route`";
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
        return "the kernel was started without this IP version";
    default:
        return "";
    }
}

void demand(const std::optional<Netlink::Refusal>& refusal, const std::string& operation) {
    if (refusal) {
        throw Error({.operation = operation,
                     .cause = refusal->text,
                     .next_step = next_step(refusal->code),
                     .code = refusal->code});
    }
}

template <typename Entry> std::vector<Entry> list(Netlink& netlink, int type) {
    std::vector<Entry> entries;
    for (std::string& message : netlink.dump(type)) {
        const unsigned char family = message.empty() ? 0 : static_cast<unsigned char>(message[0]);
        if (family == AF_INET || family == AF_INET6) { // Others have addresses and routes, too.
            entries.emplace_back(std::move(message));
        }
    }
    return entries;
}

} // namespace

IpAddress::IpAddress(std::string message)
    : message_(std::move(message)), prefix_(prefix_of_address(message_)) {}

IpAddress IpAddress::make(const IpPrefix& prefix, int link) {
    const ifaddrmsg header{.ifa_family = kernel_family(prefix),
                           .ifa_prefixlen = static_cast<unsigned char>(prefix.length()),
                           .ifa_index = static_cast<unsigned>(link)};
    std::string message = bytes_of(header);
    append(message, IFA_LOCAL, address_bytes(prefix));
    append(message, IFA_ADDRESS, address_bytes(prefix));
    return {message, prefix};
}

int IpAddress::link() const {
    return static_cast<int>(header_of<ifaddrmsg>(message_).ifa_index);
}

bool IpAddress::is_global() const {
    return header_of<ifaddrmsg>(message_).ifa_scope == RT_SCOPE_UNIVERSE;
}

bool IpAddress::is_advertised() const {
    const auto protocol = attribute<ifaddrmsg>(message_, IFA_PROTO);
    return (flags_of(message_) & (IFA_F_MANAGETEMPADDR | IFA_F_TEMPORARY)) != 0 &&
           prefix_.family() == IpFamily::v6 &&
           (!protocol || *protocol == std::string(1, IFAPROT_KERNEL_RA));
}

bool IpAddress::same_as(const IpAddress& other) const {
    return prefix_ == other.prefix_ && attribute<ifaddrmsg>(message_, IFA_ADDRESS) ==
                                           attribute<ifaddrmsg>(other.message_, IFA_ADDRESS);
}

IpAddress IpAddress::moved_to(int link) const {
    std::string message = without<ifaddrmsg>(message_, IFA_LABEL);
    auto header = header_of<ifaddrmsg>(message);
    header.ifa_index = static_cast<unsigned>(link);
    set_header(message, header);
    return {message, prefix_};
}

IpAddress IpAddress::with_lifetime_of(const IpAddress& other) const {
    const auto lifetime = attribute<ifaddrmsg>(other.message_, IFA_CACHEINFO);
    return lifetime ? IpAddress(with<ifaddrmsg>(message_, IFA_CACHEINFO, *lifetime), prefix_)
                    : *this;
}

IpRoute::IpRoute(std::string message)
    : message_(without_findings(std::move(message))), destination_(prefix_of_route(message_)) {}

IpRoute IpRoute::make(const IpPrefix& destination, int link) {
    const rtmsg header{.rtm_family = kernel_family(destination),
                       .rtm_dst_len = static_cast<unsigned char>(destination.length()),
                       .rtm_table = RT_TABLE_MAIN,
                       .rtm_protocol = RTPROT_STATIC,
                       .rtm_scope = RT_SCOPE_LINK,
                       .rtm_type = RTN_UNICAST};
    std::string message = bytes_of(header);
    append(message, RTA_DST, address_bytes(destination));
    append(message, RTA_OIF, bytes_of(link));
    return {message, destination};
}

std::string IpRoute::text() const {
    return destination_.length() == 0                             ? "default"
           : destination_.length() == destination_.address_bits() ? destination_.address_text()
                                                                  : destination_.text();
}

bool IpRoute::uses(int link) const {
    bool found = number_attribute<rtmsg>(message_, RTA_OIF) == static_cast<uint32_t>(link);
    std::string hops = attribute<rtmsg>(message_, RTA_MULTIPATH).value_or("");
    for_each_hop(hops, [&](const rtnexthop& hop) { found |= hop.rtnh_ifindex == link; });
    return found;
}

bool IpRoute::uses_only(int link) const {
    bool others = false;
    std::string hops = attribute<rtmsg>(message_, RTA_MULTIPATH).value_or("");
    for_each_hop(hops, [&](const rtnexthop& hop) { others |= hop.rtnh_ifindex != link; });
    return uses(link) && !others;
}

bool IpRoute::is_kernels() const {
    const auto header = header_of<rtmsg>(message_);
    return header.rtm_protocol == RTPROT_KERNEL || header.rtm_protocol == RTPROT_RA ||
           header.rtm_protocol == RTPROT_REDIRECT;
}

bool IpRoute::is_local() const {
    return header_of<rtmsg>(message_).rtm_table == RT_TABLE_LOCAL;
}

bool IpRoute::has_gateway() const {
    return attribute<rtmsg>(message_, RTA_GATEWAY) || attribute<rtmsg>(message_, RTA_VIA) ||
           attribute<rtmsg>(message_, RTA_MULTIPATH);
}

std::optional<uint32_t> IpRoute::nexthop_object() const {
    return number_attribute<rtmsg>(message_, RTA_NH_ID);
}

IpRoute IpRoute::moved(int from, int to) const {
    std::string message = message_;
    if (number_attribute<rtmsg>(message, RTA_OIF) == static_cast<uint32_t>(from)) {
        message = with<rtmsg>(message, RTA_OIF, bytes_of(to));
    }
    if (auto hops = attribute<rtmsg>(message, RTA_MULTIPATH)) {
        for_each_hop(*hops, [&](rtnexthop& hop) {
            hop.rtnh_ifindex = hop.rtnh_ifindex == from ? to : hop.rtnh_ifindex;
        });
        message = with<rtmsg>(message, RTA_MULTIPATH, *hops);
    }
    return {message, destination_};
}

// net/ipv6/addrconf.c puts a new address in front of the others, net/ipv4/devinet.c behind them.
std::vector<IpAddress> list_addresses(Netlink& netlink) {
    auto all = list<IpAddress>(netlink, RTM_GETADDR);
    const auto v6 = std::stable_partition(all.begin(), all.end(), [](const IpAddress& address) {
        return address.prefix().family() == IpFamily::v4;
    });
    std::reverse(v6, all.end());
    return all;
}

std::vector<IpRoute> list_routes(Netlink& netlink) {
    return list<IpRoute>(netlink, RTM_GETROUTE);
}

void add_address(Netlink& netlink, const IpAddress& address, const std::string& link) {
    std::string message = address.message();
    if (address.prefix().family() == IpFamily::v6) {
        message = with<ifaddrmsg>(message, IFA_FLAGS, bytes_of(flags_of(message) | IFA_F_NODAD));
    }
    demand(netlink.change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, message),
           fmt::format("add address {} to '{}'", address.prefix().text(), link));
}

void restore_flags(Netlink& netlink, const IpAddress& address, const std::string& link) {
    if (address.prefix().family() == IpFamily::v6) {
        demand(netlink.change(RTM_NEWADDR, NLM_F_REPLACE, address.message()),
               fmt::format("restore address {} of '{}'", address.prefix().text(), link));
    }
}

void delete_address(Netlink& netlink, const IpAddress& address, const std::string& link) {
    const auto refusal = netlink.change(RTM_DELADDR, 0, address.message());
    if (refusal && refusal->code != EADDRNOTAVAIL && refusal->code != ENODEV) {
        demand(refusal, fmt::format("delete address {} of '{}'", address.prefix().text(), link));
    }
}

void add_route(Netlink& netlink, const IpRoute& route, const std::string& link) {
    demand(netlink.change(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route.message()),
           fmt::format("add route {} to '{}'", route.text(), link));
}

void append_route(Netlink& netlink, const IpRoute& route, const std::string& link) {
    const auto refusal = netlink.change(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, route.message());
    if (refusal && refusal->code != EEXIST) {
        demand(refusal, fmt::format("add route {} to '{}'", route.text(), link));
    }
}

void delete_route(Netlink& netlink, const IpRoute& route, const std::string& link) {
    const auto refusal = netlink.change(RTM_DELROUTE, 0, route.message());
    if (refusal && refusal->code != ESRCH && refusal->code != ENODEV) {
        demand(refusal, fmt::format("delete route {} of '{}'", route.text(), link));
    }
}

} // namespace tapline
