// Addresses and routes as netlink tells them, or as a record that was tampered with does.
// Input: two numbers of links, then the message.
#include "backend/base/error.h"
#include "backend/ip_config.h"
#include "tests/fuzz/input.h"

#include <string>

namespace tapline {
namespace {

using fuzz::require;

void check(const IpPrefix& prefix) {
    require(prefix.length() <= prefix.address_bits());
    require(prefix.network().network() == prefix.network());
    require(prefix.text().find('/') != std::string::npos);
}

void move_address(const std::string& message, int to) {
    try {
        const IpAddress address(message);
        check(address.prefix());
        require(address.same_as(address));
        (void)address.is_global();
        (void)address.is_advertised();
        const IpAddress moved = address.moved_to(to);
        require(moved.link() == to && moved.prefix() == address.prefix());
        require(moved.moved_to(to).message() == moved.message());
        check(moved.with_lifetime_of(address).prefix());
    } catch (const Error&) {}
}

void move_route(const std::string& message, int from, int to) {
    try {
        const IpRoute route(message);
        check(route.destination());
        require(!route.text().empty());
        require(!route.uses_only(from) || route.uses(from));
        (void)route.is_kernels();
        (void)route.is_local();
        (void)route.has_gateway();
        (void)route.nexthop_object();
        const IpRoute moved = route.moved(from, to);
        require(from == to || !moved.uses(from));
        require(!route.uses(from) || moved.uses(to));
        require(moved.destination() == route.destination());
        require(IpRoute(route.message()).message() == route.message());
    } catch (const Error&) {}
}

} // namespace
} // namespace tapline

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    tapline::fuzz::Input input(data, size);
    const int from = input.number<uint8_t>();
    const int to = input.number<uint8_t>();
    const auto rest = input.rest();
    const std::string message(data + size - rest.size(), data + size);
    tapline::move_address(message, to);
    tapline::move_route(message, from, to);
    return 0;
}
