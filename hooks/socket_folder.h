// Where QEMU, as whatever user, makes the sockets that it waits for pumps at.
#pragma once

#include <string>

namespace tapline::hooks {

// Belongs to QEMU's user. Throws Error.
void make_socket_folder();
// One that lies in that folder; QEMU leaves it when it is killed.
void remove_socket(const std::string& path) noexcept;

} // namespace tapline::hooks
