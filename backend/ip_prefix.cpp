#include "backend/ip_prefix.h"

#include "backend/base/error.h"
#include "backend/base/number.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <string>

namespace tapline {
namespace {

struct Reading {
    const char* what; // That the text shall be.
    std::string_view text;
    const char* example;

    [[noreturn]] void refuse(std::string cause, std::string next_step = {}) const {
        throw Error({.operation = fmt::format("read {} '{}'", what, text),
                     .cause = std::move(cause),
                     .next_step = next_step.empty() ? fmt::format("write it as {}", example)
                                                    : std::move(next_step)});
    }
};

IpPrefix parse(const Reading& reading) {
    const auto slash = reading.text.find('/');
    const std::string address(reading.text.substr(0, slash));
    const IpFamily family = address.find(':') == std::string::npos ? IpFamily::v4 : IpFamily::v6;
    IpPrefix::Bytes bytes{};
    if (inet_pton(family == IpFamily::v4 ? AF_INET : AF_INET6, address.c_str(), bytes.data()) !=
        1) {
        reading.refuse("neither an IPv4 nor an IPv6 address");
    }
    unsigned length = family == IpFamily::v4 ? 32 : 128;
    if (slash != std::string_view::npos) {
        length = parse_number(fmt::format("prefix length of {}", reading.what).c_str(),
                              reading.text.substr(slash + 1), 0U, length);
    }
    return {family, bytes, length};
}

// nullptr where stations can have addresses of this kind.
const char* unfit_kind(const IpPrefix& prefix) {
    const auto& bytes = prefix.bytes();
    const bool v4 = prefix.family() == IpFamily::v4;
    const auto mapped = [&] {
        return std::all_of(bytes.begin(), bytes.begin() + 10, [](uint8_t b) { return b == 0; }) &&
               bytes[10] == 0xff && bytes[11] == 0xff;
    };
    if (v4 ? bytes[0] == 0 : std::ranges::all_of(bytes, [](uint8_t b) { return b == 0; })) {
        return "an unspecified address belongs to nobody";
    }
    if (v4 ? bytes[0] == 127 : prefix.address_text() == "::1") {
        return "loopback addresses stay within the host";
    }
    if (v4 ? (bytes[0] & 0xf0) == 0xe0 : bytes[0] == 0xff) {
        return "a multicast address belongs to many stations";
    }
    if (v4 ? bytes[0] >= 0xf0 : mapped()) {
        return v4 ? "addresses from 240.0.0.0 on are reserved"
                  : "it stands for an IPv4 address, which never travels as IPv6";
    }
    return nullptr;
}

bool is_link_local(const IpPrefix& prefix) {
    return prefix.family() == IpFamily::v6 && prefix.bytes()[0] == 0xfe &&
           (prefix.bytes()[1] & 0xc0) == 0x80;
}

// Of the host's own interface, where the kernel makes the link-local address.
const char* unfit_for_interface(const IpPrefix& prefix) {
    return is_link_local(prefix) ? "each interface has a link-local address of its own"
                                 : unfit_kind(prefix);
}

void refuse_host_bits(const Reading& reading, const IpPrefix& prefix) {
    if (prefix != prefix.network()) {
        reading.refuse(
            fmt::format("it has bits behind its length of {}", prefix.length()),
            fmt::format("write {} or {}", prefix.network().text(), prefix.address_text()));
    }
}

bool is_last_of_network(const IpPrefix& prefix) {
    IpPrefix::Bytes bytes = prefix.bytes();
    for (unsigned bit = prefix.length(); bit < prefix.address_bits(); ++bit) {
        const auto mask = static_cast<uint8_t>(0x80U >> bit % 8);
        if ((bytes[bit / 8] & mask) == 0) {
            return false;
        }
    }
    return true;
}

} // namespace

IpPrefix IpPrefix::parse_address(std::string_view text) {
    const Reading reading{"address", text, "192.0.2.7/24 or 2001:db8::7/64"};
    const IpPrefix prefix = parse(reading);
    if (const char* cause = unfit_for_interface(prefix)) {
        reading.refuse(cause, "choose one of the guests' network");
    }
    if (prefix.length() == 0) {
        reading.refuse("length 0 would make all the world a neighbour");
    }
    // RFC 3021, RFC 6164: a network of two addresses has neither name nor broadcast.
    if (prefix.length() + 1 < prefix.address_bits()) {
        if (prefix == prefix.network()) {
            reading.refuse("it is the network's own, no station's",
                           "choose an address within the network");
        }
        if (prefix.family() == IpFamily::v4 && is_last_of_network(prefix)) {
            reading.refuse("it is the network's broadcast address",
                           "choose an address within the network");
        }
    }
    return prefix;
}

IpPrefix IpPrefix::parse_network(std::string_view text) {
    const Reading reading{"route", text, "192.0.2.64/26 or 2001:db8:1::/64"};
    const IpPrefix prefix = parse(reading);
    if (prefix.length() == 0) {
        reading.refuse("a default route needs a gateway", "add it with `ip route`");
    }
    if (const char* cause = unfit_for_interface(prefix)) {
        reading.refuse(cause, "name the network of the guests");
    }
    refuse_host_bits(reading, prefix);
    return prefix;
}

IpPrefix IpPrefix::parse_source(std::string_view text) {
    const Reading reading{"source address", text, "192.0.2.7, 192.0.2.64/26 or fe80::/64"};
    const IpPrefix prefix = parse(reading);
    if (const char* cause = unfit_kind(prefix); cause != nullptr && prefix.length() > 0) {
        reading.refuse(cause, "name an address of the guest");
    }
    refuse_host_bits(reading, prefix);
    return prefix;
}

IpPrefix IpPrefix::network() const {
    IpPrefix cleared = *this;
    for (unsigned bit = length_; bit < address_bits(); ++bit) {
        cleared.bytes_[bit / 8] &= static_cast<uint8_t>(~(0x80U >> bit % 8));
    }
    return cleared;
}

bool IpPrefix::contains(IpFamily family, const Bytes& address) const {
    const size_t whole = length_ / 8;
    const auto mask = static_cast<uint8_t>(0xff00U >> length_ % 8); // Of the byte behind those.
    return family == family_ &&
           std::equal(bytes_.begin(), bytes_.begin() + whole, address.begin()) &&
           (mask == 0 || ((bytes_[whole] ^ address[whole]) & mask) == 0);
}

std::string IpPrefix::address_text() const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(family_ == IpFamily::v4 ? AF_INET : AF_INET6, bytes_.data(), text.data(),
              text.size());
    return text.data();
}

std::string IpPrefix::text() const {
    return fmt::format("{}/{}", address_text(), length_);
}

} // namespace tapline
