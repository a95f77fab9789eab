// What argv, XML and sysfs say: of an interface with a line for each field, or in one line.
#include "backend/base/error.h"
#include "backend/interface_spec.h"
#include "backend/ip_prefix.h"
#include "backend/tap_node.h"
#include "tests/fuzz/input.h"

#include <sys/sysmacros.h>

#include <sstream>
#include <string>

namespace tapline {
namespace {

using fuzz::require;

void parse_address(const std::string& text) {
    try {
        const MacAddress address = MacAddress::parse(text);
        require(MacAddress::parse(address.text()) == address);
    } catch (const Error&) {}
}

void parse_prefix(const std::string& text) {
    for (const auto parse :
         {IpPrefix::parse_address, IpPrefix::parse_network, IpPrefix::parse_source}) {
        try {
            const IpPrefix prefix = parse(text);
            require(prefix.length() <= prefix.address_bits());
            require(parse(prefix.text()) == prefix);
            require(prefix.contains(prefix.family(), prefix.bytes()));
            require(prefix.network().network() == prefix.network());
        } catch (const Error&) {}
    }
}

void parse_number(const std::string& text) {
    try {
        const dev_t number = parse_device_number("file", text);
        require(parse_device_number("file", std::to_string(major(number)) + ":" +
                                                std::to_string(minor(number))) == number);
    } catch (const Error&) {}
}

// --owner asks the user database, which is not ours to test.
void parse_interface(const std::string& lines) {
    InterfaceText text;
    std::istringstream stream(lines);
    for (std::optional<std::string>* field :
         {&text.parent, &text.name, &text.mac, &text.mode, &text.kind, &text.mtu, &text.queues,
          &text.queue_length, &text.multicast}) {
        std::string line;
        if (std::getline(stream, line) && !line.empty()) {
            *field = line;
        }
    }
    for (std::string line; std::getline(stream, line);) {
        text.allow.push_back(line);
    }
    try {
        const InterfaceSpec spec = InterfaceSpec::parse(text);
        require(!spec.parent().empty() && spec.parent().size() < 16);
        require(spec.queue_pairs() >= 1 && spec.queue_pairs() <= 256);
        require(spec.allowed_macs().size() == text.allow.size());
    } catch (const Error&) {}
}

} // namespace
} // namespace tapline

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string text(data, data + size);
    const std::string line = text.substr(0, text.find('\n'));
    tapline::parse_address(line);
    tapline::parse_prefix(line);
    tapline::parse_number(text);
    tapline::parse_interface(text);
    return 0;
}
