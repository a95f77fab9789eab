#include "xml/names.h"

#include "backend/interface_spec.h"

#include "config.h"

#include <fmt/format.h>

#include <algorithm>

namespace tapline::xml {
namespace {

std::string digits(const MacAddress& mac) {
    std::string text = mac.text();
    std::erase(text, ':');
    return text;
}

} // namespace

std::string default_device_name(const MacAddress& mac) {
    return "tl" + digits(mac);
}

std::string default_socket_path(const MacAddress& mac) {
    return fmt::format("{}/sockets/{}.sock", TAPLINE_RUNSTATE, digits(mac));
}

bool is_reserved_device_name(const std::string& name) {
    return std::ranges::any_of(reserved_name_prefixes,
                               [&](const char* prefix) { return name.starts_with(prefix); });
}

} // namespace tapline::xml
