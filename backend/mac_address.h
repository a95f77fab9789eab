// An Ethernet hardware address: of a station, or of a multicast group.
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
    // In the same form, the address of a multicast group. Throws Error.
    static MacAddress parse_group(std::string_view text);
    // A random address under 52:54:00, the prefix QEMU and libvirt use for guests.
    static MacAddress random();

    const Bytes& bytes() const { return bytes_; }
    std::string text() const;
    bool is_group() const { return (bytes_[0] & 1) != 0; }

    friend auto operator<=>(const MacAddress&, const MacAddress&) = default;

private:
    Bytes bytes_;
};

} // namespace tapline
