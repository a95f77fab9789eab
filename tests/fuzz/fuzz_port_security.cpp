// A guest's frame, before port security. Input: which rules, the virtio header, the frame.
#include "iouring/port_security.h"
#include "tests/fuzz/input.h"

#include <linux/if_ether.h>

#include <vector>

namespace tapline {
namespace {

using fuzz::require;

const MacAddress own({0x52, 0x54, 0, 0, 0, 1});

PortSecurity security(unsigned choice) {
    return {{.macs = {},
             .own_mac = (choice & 1) != 0,
             .addresses = (choice & 2) != 0 ? std::vector{IpPrefix::parse_source("192.0.2.0/24"),
                                                          IpPrefix::parse_source("2001:db8::7")}
                                            : std::vector<IpPrefix>(),
             .router_advertisements = (choice & 4) != 0,
             .dhcp_server = (choice & 8) != 0},
            own};
}

} // namespace
} // namespace tapline

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace tapline;
    fuzz::Input input(data, size);
    const unsigned choice = input.number<uint8_t>();
    const auto header = input.number<VirtioNetHeader>();
    const auto rest = input.rest();
    if (rest.size() < ETH_HLEN) {
        return 0;
    }
    const std::vector<std::byte> frame(rest.begin(), rest.end()); // Its end is watched.
    const auto why = security(choice).refusal(header, frame);
    if (!why) { // What passes strict rules passes every looser ones.
        require(!security(choice | 4).refusal(header, frame));
        require(!security(choice | 8).refusal(header, frame));
        require(!security(choice & ~1u).refusal(header, frame));
        require(!security(choice & ~2u).refusal(header, frame));
    }
    return 0;
}
