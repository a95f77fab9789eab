// How the device and the socket of a guest's interface are called where nobody chose a name.
#pragma once

#include "backend/mac_address.h"

#include <string>

namespace tapline::xml {

std::string default_device_name(const MacAddress& mac); // tl525400123456
std::string default_socket_path(const MacAddress& mac); // .../sockets/525400123456.sock

bool is_reserved_device_name(
    const std::string& name); // libvirt makes such names up and drops them.

} // namespace tapline::xml
