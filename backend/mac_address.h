// An Ethernet hardware address.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace tapline {

class MacAddress {
public:
    using Bytes = std::array<uint8_t, 6>;

    explicit MacAddress(Bytes bytes) : bytes_(bytes) {}

    // Six hexadecimal pairs between colons. Throws Error for anything else, and for an address no
    // station may have: a multicast one or all zeros.
    static MacAddress parse(std::string_view text);
    // A random address under 52:54:00, the prefix QEMU and libvirt use for guests.
    static MacAddress random();

    const Bytes& bytes() const { return bytes_; }
    std::string text() const;

    friend auto operator<=>(const MacAddress&, const MacAddress&) = default;

private:
    Bytes bytes_;
};

} // namespace tapline
