// The text of a record's file, which users of tapline-helper can write to: of a device, and of a
// host link.
#include "backend/base/error.h"
#include "backend/device_record.h"
#include "backend/host_link_record.h"
#include "tests/fuzz/input.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace tapline {
namespace {

using fuzz::require;

bool is_printable(const std::string& text) {
    return std::ranges::none_of(text, [](unsigned char c) { return std::iscntrl(c) != 0; });
}

void parse_device(const std::string& text) {
    const RecordedDevice record = parse_device_record(7, text);
    require(record.id == 7 && record.pid >= 0);
    require(is_printable(record.parent) && is_printable(record.program));
}

void parse_alias(const std::string& text) {
    if (const auto id = id_in_alias(text)) {
        require(id_in_alias(device_alias(*id)) == id);
    }
}

void parse_host_link(const std::string& text) {
    try {
        const HostLinkRecord record = parse_host_link_record("file", text);
        const std::string written = text_of(record);
        require(text_of(parse_host_link_record("file", written)) == written);
        for (const IpAddress& address : record.addresses) {
            require(address.prefix().length() <= address.prefix().address_bits());
        }
    } catch (const Error& error) {
        require(std::string(error.what()).starts_with("read file: "));
    }
}

} // namespace
} // namespace tapline

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string text(data, data + size);
    tapline::parse_device(text);
    tapline::parse_alias(text.substr(0, text.find('\n')));
    tapline::parse_host_link(text);
    return 0;
}
