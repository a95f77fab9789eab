#include "iouring/port_security.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace tapline {
namespace {

using Bytes = std::vector<std::byte>;

const MacAddress own = MacAddress::parse("52:54:00:00:00:01");

// Blanks are for the reader.
Bytes from_hex(std::string_view text) {
    Bytes bytes;
    bool high = true;
    for (const char c : text) {
        const size_t digit = std::string_view("0123456789abcdef").find(c);
        if (digit == std::string_view::npos) {
            continue;
        }
        if (high) {
            bytes.push_back(static_cast<std::byte>(digit << 4));
        } else {
            bytes.back() |= static_cast<std::byte>(digit);
        }
        high = !high;
    }
    return bytes;
}

const std::string ethernet = "ffffffffffff 525400000001 ";
const std::string mine = "c0000207";  // 192.0.2.7
const std::string yours = "c0000208"; // 192.0.2.8
const std::string nobody = "00000000";
const std::string mine6 = "20010db8 00000000 00000000 00000007";
const std::string yours6 = "20010db8 00000000 00000000 00000008";
const std::string nobody6 = "00000000 00000000 00000000 00000000";
const std::string link_local = "fe800000 00000000 505400ff fe000001"; // Of the own MAC.
const std::string gateway = "fe800000 00000000 00000000 00000001";
const std::string all_nodes = "ff020000 00000000 00000000 00000001";

std::string arp(const std::string& sender_mac, const std::string& sender,
                const std::string& target) {
    return "0806 0001 0800 06 04 0002" + sender_mac + sender + "ffffffffffff" + target;
}

struct Ipv4 {
    std::string source = mine;
    int protocol = 17;
    std::string payload = "0400 0035 0008 0000";
    int fragment = 0;
    std::string options = "";
    int length = -1; // Of the packet, where the header lies.
};
std::string ipv4(const Ipv4& p) {
    const auto options = from_hex(p.options).size();
    const auto length =
        p.length >= 0 ? static_cast<size_t>(p.length) : 20 + options + from_hex(p.payload).size();
    return fmt::format("0800 4{:x} 00 {:04x} 0000 {:04x} 40 {:02x} 0000 {} c0000201 {} {}",
                       5 + options / 4, length, p.fragment, p.protocol, p.source, p.options,
                       p.payload);
}

struct Ipv6 {
    std::string source = mine6;
    int next = 17;
    std::string payload = "0400 0035 0008 0000";
    int length = -1;
};
std::string ipv6(const Ipv6& p) {
    const auto length = p.length >= 0 ? static_cast<size_t>(p.length) : from_hex(p.payload).size();
    return fmt::format("86dd 60000000 {:04x} {:02x} ff {} {} {}", length, p.next, p.source,
                       all_nodes, p.payload);
}
std::string icmpv6(const std::string& source, int type, const std::string& target = "") {
    return ipv6({.source = source,
                 .next = 58,
                 .payload = fmt::format("{:02x} 00 0000 00000000 {}", type, target)});
}
const std::string advertisement = "86 00 0000 40 00 0708 00000000 00000000"; // Of a router.
const std::string echo = "80 00 0000 0001 0001";

const PortSecurity::Rules strict{
    .macs = {},
    .own_mac = true,
    .addresses = {IpPrefix::parse_source("192.0.2.7"), IpPrefix::parse_source("2001:db8::7")}};
const PortSecurity::Rules guard{.macs = {}, .addresses = {}};

struct Case {
    std::string name;
    std::string frame; // In hexadecimal, behind the addresses.
    std::optional<Drop> strict = std::nullopt;
    std::optional<Drop> guard = std::nullopt; // Without lists of addresses.
};

std::vector<Case> addresses() {
    return {
        {"ipv4 of mine", ipv4({})},
        {"ipv4 of another", ipv4({.source = yours}), Drop::spoofed_ip},
        {"ipv4 of mine with options", ipv4({.options = "94040000"})},
        {"dhcp discover", ipv4({.source = nobody, .payload = "0044 0043 0008 0000"})},
        {"ipv4 of nobody", ipv4({.source = nobody}), Drop::spoofed_ip},
        {"tcp of nobody", ipv4({.source = nobody, .protocol = 6}), Drop::spoofed_ip},
        {"later fragment of nobody", ipv4({.source = nobody, .fragment = 1}), Drop::spoofed_ip},
        {"later fragment of mine", ipv4({.fragment = 1})},
        {"arp of mine", arp("525400000001", mine, yours)},
        {"arp of another", arp("525400000001", yours, mine), Drop::spoofed_ip},
        {"arp with another's hardware address", arp("525400000002", mine, yours),
         Drop::spoofed_mac},
        {"arp probe for mine", arp("525400000001", nobody, mine)},
        {"arp probe for another's", arp("525400000001", nobody, yours), Drop::spoofed_ip},
        {"rarp announcement", "8035" + arp("525400000001", nobody, nobody).substr(4)},
        {"arp of token ring", "0806 0006 0800 06 04 0001" + std::string(40, '0'), Drop::unreadable,
         Drop::unreadable},
        {"arp cut short", "0806 0001 0800 06 04 0001 5254", Drop::unreadable, Drop::unreadable},
        {"ipv6 of mine", ipv6({})},
        {"ipv6 of another", ipv6({.source = yours6}), Drop::spoofed_ip},
        {"ipv6 of the link-local address", ipv6({.source = link_local})},
        {"ipv6 of the gateway's link-local address", ipv6({.source = gateway}), Drop::spoofed_ip},
        {"udp of nobody", ipv6({.source = nobody6}), Drop::spoofed_ip},
        {"router solicitation of nobody", icmpv6(nobody6, 133)},
        {"multicast report of nobody", icmpv6(nobody6, 143)},
        {"dad of mine", icmpv6(nobody6, 135, mine6)},
        {"dad of the link-local address", icmpv6(nobody6, 135, link_local)},
        {"dad of another's", icmpv6(nobody6, 135, yours6), Drop::spoofed_ip},
        {"question for another", icmpv6(mine6, 135, yours6)},
        {"neighbour advertisement of mine", icmpv6(link_local, 136, mine6)},
        {"neighbour advertisement of another", icmpv6(mine6, 136, gateway), Drop::spoofed_ip},
        {"neighbour advertisement cut short", icmpv6(mine6, 136), Drop::unreadable},
        {"another protocol", "88b5 0102030405"},
        {"ieee 802.3 of spanning tree", "0026 42 42 03 0000000000"},
        {"ieee 802.3 cut short", "0001 42"},
    };
}

constexpr Drop ra = Drop::router_advertisement;
constexpr Drop dhcp = Drop::dhcp_answer;
constexpr Drop hidden = Drop::unreadable;

Case both(std::string name, std::string frame, Drop why) {
    return {std::move(name), std::move(frame), why, why};
}

std::vector<Case> routers() {
    return {
        both("router advertisement", ipv6({.next = 58, .payload = advertisement}), ra),
        both("behind hop-by-hop options",
             ipv6({.next = 0, .payload = "3a 00 050200000100" + advertisement}), ra),
        both("behind every extension header",
             ipv6({.next = 0,
                   .payload = "2b 00 050200000100 3c 00 000000000000 33 00 010400000000"
                              "2c 01 0000 00000000 00000000 3a 00 0000 00000001" +
                              advertisement}),
             ra),
        both("in the first fragment",
             ipv6({.next = 44, .payload = "3a 00 0001 00000001" + advertisement}), ra),
        both("behind the first fragment",
             ipv6({.next = 44, .payload = "3c 00 0001 00000001 3a 00 010400000000"}), hidden),
        both("behind the first fragment, with padding that looks harmless",
             ipv6({.next = 44,
                   .payload = "3c 00 0001 00000001 3a 00 010400000000" + echo,
                   .length = 16}),
             hidden),
        both("in a fragment of a fragment",
             ipv6({.next = 44, .payload = "2c 00 0000 00000001 3a 00 0000 00000002" + echo}),
             hidden),
        {"later fragment", ipv6({.next = 44, .payload = "3a 00 0008 00000001" + advertisement})},
        both("behind options that do not end",
             ipv6({.next = 60, .payload = "3a ff 010400000000" + echo}), hidden),
        both("options cut off", ipv6({.next = 60, .payload = "3a"}), hidden),
        {"no next header", ipv6({.next = 59, .payload = ""})},
        {"encrypted", ipv6({.next = 50, .payload = advertisement})},
        {"echo", ipv6({.next = 58, .payload = echo})},
        both("in a vlan", "8100 0001" + ipv6({.next = 58, .payload = advertisement}), ra),
        both("in two vlans", "88a8 0001 8100 0002" + ipv6({.next = 58, .payload = advertisement}),
             ra),
        both("in three vlans",
             "8100 0000 8100 0000 8100 0000" + ipv6({.next = 58, .payload = advertisement}),
             hidden),
        both("in snap", "0050 aaaa03 000000" + ipv6({.next = 58, .payload = advertisement}), ra),
        both("in snap in a vlan",
             "8100 0000 0050 aaaa03 0000f8" + ipv6({.next = 58, .payload = advertisement}), ra),
        both("in snap that is odd", "0050 aaab03 000000" + ipv6({}), hidden),
        both("vlan cut off", "8100 00", hidden),
    };
}

std::vector<Case> dhcp_servers() {
    return {
        both("dhcp answer", ipv4({.payload = "0043 0044 0008 0000"}), dhcp),
        both("dhcp answer from another port", ipv4({.payload = "0400 0044 0008 0000"}), dhcp),
        both("dhcp relay", ipv4({.payload = "0043 0043 0008 0000"}), dhcp),
        both("dhcp answer in its first fragment",
             ipv4({.payload = "0043 0044 0008 0000", .fragment = 0x2000}), dhcp),
        both("dhcp answer behind options",
             ipv4({.payload = "0043 0044 0008 0000", .options = "94040000"}), dhcp),
        both("udp cut short", ipv4({.payload = "0043"}), hidden),
        both("dhcpv6 answer", ipv6({.payload = "0223 0222 0008 0000"}), dhcp),
        both("dhcpv6 answer from another port", ipv6({.payload = "0400 0222 0008 0000"}), dhcp),
        {"dhcpv6 question", ipv6({.source = link_local, .payload = "0222 0223 0008 0000"})},
        {"ports of dhcpv6 in ipv4", ipv4({.payload = "0223 0222 0008 0000"})},
    };
}

std::vector<Case> malformed() {
    return {
        both("ipv4 called ipv6", "86dd" + ipv4({}).substr(4) + std::string(60, '0'), hidden),
        both("ipv6 called ipv4", "0800" + ipv6({}).substr(4), hidden),
        both("ipv4 header too short", "0800 44" + ipv4({}).substr(7), hidden),
        both("ipv4 header beyond its packet", ipv4({.length = 19}), hidden),
        both("ipv4 cut short", "0800 4500", hidden),
        both("ipv6 cut short", "86dd 6000", hidden),
        {"segments to be cut, without their length", ipv4({.length = 0})},
        {"segments of ipv6, without their length", ipv6({.length = 0})},
        both("jumbogram",
             ipv6({.next = 0, .payload = "3a 00 c20400010000" + advertisement, .length = 0}), ra),
    };
}

std::string text_of(std::optional<Drop> drop) {
    return drop ? to_text(*drop) : "passes";
}

void expect_all(const std::vector<Case>& cases) {
    const PortSecurity strictly(strict, own);
    const PortSecurity guarding(guard, own);
    for (const Case& each : cases) {
        const Bytes frame = from_hex(ethernet + each.frame);
        EXPECT_EQ(text_of(strictly.refusal({}, frame)), text_of(each.strict)) << each.name;
        EXPECT_EQ(text_of(guarding.refusal({}, frame)), text_of(each.guard)) << each.name;
    }
}

TEST(PortSecurity, LetsAGuestSpeakForItselfOnly) {
    expect_all(addresses());
}

TEST(PortSecurity, LetsAGuestBeNeitherRouterNorDhcpServer) {
    expect_all(routers());
    expect_all(dhcp_servers());
}

TEST(PortSecurity, RefusesWhatItCannotRead) {
    expect_all(malformed());
}

TEST(PortSecurity, LetsPassWhatIsAllowed) {
    PortSecurity::Rules rules = strict;
    rules.router_advertisements = true;
    rules.dhcp_server = true;
    rules.addresses.push_back(IpPrefix::parse_source("fe80::/64"));
    const PortSecurity security(rules, own);
    for (const std::string& frame :
         {ipv6({.source = gateway, .next = 58, .payload = advertisement}),
          ipv4({.payload = "0043 0044 0008 0000"}), ipv6({.payload = "0223 0222 0008 0000"})}) {
        EXPECT_EQ(text_of(security.refusal({}, from_hex(ethernet + frame))), "passes") << frame;
    }
}

TEST(PortSecurity, ComparesTheSourceAddressWithAllThatAreAllowed) {
    const PortSecurity security(
        {.macs = {MacAddress::parse("52:54:00:00:00:09"), MacAddress::parse("02:00:00:00:00:01")},
         .own_mac = true},
        own);
    for (const char* mac : {"525400000001", "525400000009", "020000000001"}) {
        const Bytes frame = from_hex(std::string("ffffffffffff ") + mac + "88b5");
        EXPECT_EQ(text_of(security.refusal({}, frame)), "passes") << mac;
    }
    for (const char* mac : {"525400000002", "000000000000", "ffffffffffff"}) {
        const Bytes frame = from_hex(std::string("ffffffffffff ") + mac + "88b5");
        EXPECT_EQ(text_of(security.refusal({}, frame)), "spoofed_mac") << mac;
    }
}

TEST(PortSecurity, TakesNetworksAndWholeFamilies) {
    const PortSecurity security(
        {.macs = {},
         .addresses = {IpPrefix::parse_source("192.0.2.0/29"), IpPrefix::parse_source("::/0")}},
        own);
    EXPECT_EQ(text_of(security.refusal({}, from_hex(ethernet + ipv4({})))), "passes");
    EXPECT_EQ(text_of(security.refusal({}, from_hex(ethernet + ipv4({.source = yours})))),
              "spoofed_ip");
    EXPECT_EQ(text_of(security.refusal({}, from_hex(ethernet + ipv6({.source = gateway})))),
              "passes");
}

// The kernel writes it after the look: over the source port, the type, an address.
TEST(PortSecurity, LetsNoChecksumBeWrittenOverWhatWasLookedAt) {
    const PortSecurity security(strict, own);
    const Bytes udp = from_hex(ethernet + ipv4({}));
    const Bytes icmp = from_hex(ethernet + ipv6({.next = 58, .payload = echo}));
    const Bytes other = from_hex(ethernet + "88b5 000000000000");
    const auto refusal = [&](const Bytes& frame, uint16_t start, uint16_t offset) {
        VirtioNetHeader header{};
        header.flags = VirtioNetHeader::needs_checksum;
        header.checksum_start = start;
        header.checksum_offset = offset;
        return text_of(security.refusal(header, frame));
    };
    EXPECT_EQ(refusal(udp, 34, 6), "passes");
    EXPECT_EQ(refusal(udp, 34, 0), "unreadable");
    EXPECT_EQ(refusal(udp, 34, 3), "unreadable");
    EXPECT_EQ(refusal(udp, 0, 6), "unreadable");
    EXPECT_EQ(refusal(udp, 26, 0), "unreadable");
    EXPECT_EQ(refusal(icmp, 54, 2), "passes");
    EXPECT_EQ(refusal(icmp, 54, 0), "unreadable");
    EXPECT_EQ(refusal(other, 6, 0), "unreadable");
    EXPECT_EQ(refusal(other, 14, 0), "passes");
}

// Nothing that is cut off anywhere passes for what it is not, and nothing behind is read.
TEST(PortSecurity, ReadsNothingBehindTheEnd) {
    const PortSecurity security(strict, own);
    for (const auto& cases : {addresses(), routers(), dhcp_servers(), malformed()}) {
        for (const Case& each : cases) {
            const Bytes frame = from_hex(ethernet + each.frame);
            for (size_t bytes = 14; bytes < frame.size(); ++bytes) {
                const Bytes cut(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(bytes));
                if (each.strict) {
                    EXPECT_TRUE(bytes < 22 || security.refusal({}, cut)) << each.name << bytes;
                } else {
                    (void)security.refusal({}, cut);
                }
            }
        }
    }
}

} // namespace
} // namespace tapline
