#include "backend/mac_address.h"

#include "backend/base/error.h"

#include <fmt/format.h>
#include <glib.h>

#include <algorithm>

namespace tapline {
namespace {

[[noreturn]] void refuse(std::string_view text, const char* cause) {
    throw Error({.operation = fmt::format("read MAC address '{}'", text),
                 .cause = cause,
                 .next_step = "write it as 52:54:00:12:34:56"});
}

MacAddress::Bytes parse_pairs(std::string_view text) {
    MacAddress::Bytes bytes;
    if (text.size() != 3 * bytes.size() - 1) {
        refuse(text, "not six hexadecimal pairs");
    }
    for (size_t i = 0; i < bytes.size(); ++i) {
        const int high = g_ascii_xdigit_value(text[3 * i]);
        const int low = g_ascii_xdigit_value(text[3 * i + 1]);
        const bool separated = i + 1 == bytes.size() || text[3 * i + 2] == ':';
        if (high < 0 || low < 0 || !separated) {
            refuse(text, "not six hexadecimal pairs");
        }
        bytes[i] = static_cast<uint8_t>(high << 4 | low);
    }
    return bytes;
}

} // namespace

MacAddress MacAddress::parse(std::string_view text) {
    const MacAddress address(parse_pairs(text));
    if (address.is_group()) {
        refuse(text, "a multicast address cannot belong to one guest");
    }
    if (std::ranges::all_of(address.bytes(), [](uint8_t byte) { return byte == 0; })) {
        refuse(text, "the address of all zeros cannot belong to a guest");
    }
    return address;
}

MacAddress MacAddress::parse_group(std::string_view text) {
    const MacAddress address(parse_pairs(text));
    if (!address.is_group()) {
        refuse(text, "not the address of a multicast group");
    }
    return address;
}

MacAddress MacAddress::random() {
    const uint32_t tail = g_random_int();
    return MacAddress({0x52, 0x54, 0x00, static_cast<uint8_t>(tail >> 16),
                       static_cast<uint8_t>(tail >> 8), static_cast<uint8_t>(tail)});
}

std::string MacAddress::text() const {
    const Bytes& b = bytes_;
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[0], b[1], b[2], b[3], b[4],
                       b[5]);
}

} // namespace tapline
