// An IPv4 or IPv6 address with the length of its network, as in 192.0.2.7/24.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace tapline {

enum class IpFamily : uint8_t { v4, v6 };

class IpPrefix {
public:
    using Bytes = std::array<uint8_t, 16>; // In network order; of IPv4 the first four.

    IpPrefix(IpFamily family, Bytes bytes, unsigned length)
        : family_(family), bytes_(bytes), length_(length) {}

    // ADDRESS or ADDRESS/LENGTH; without a length it is the address alone. Throws Error for
    // anything else, and for an address that no station of an Ethernet can have.
    static IpPrefix parse_address(std::string_view text);
    // NETWORK or NETWORK/LENGTH. Throws Error for anything else, and for what no route is needed
    // to.
    static IpPrefix parse_network(std::string_view text);
    // ADDRESS or NETWORK/LENGTH, from which a guest may send: link-local addresses are among
    // them, and 0.0.0.0/0 and ::/0 are all of a family. Throws Error for anything else.
    static IpPrefix parse_source(std::string_view text);

    IpFamily family() const { return family_; }
    const Bytes& bytes() const { return bytes_; }
    unsigned length() const { return length_; }
    unsigned address_bits() const { return family_ == IpFamily::v4 ? 32 : 128; }

    IpPrefix network() const; // With all bits behind its length cleared.
    bool contains(IpFamily family, const Bytes& address) const;
    std::string address_text() const;
    std::string text() const; // With the length.

    friend auto operator<=>(const IpPrefix&, const IpPrefix&) = default;

private:
    IpFamily family_;
    Bytes bytes_;
    unsigned length_;
};

} // namespace tapline
