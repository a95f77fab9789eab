// Where libvirt finds the hook: a link in its folder of hooks to this program.
#pragma once

#include <filesystem>
#include <optional>

namespace tapline::hooks {

struct Installation {
    std::filesystem::path path;
    bool made_now; // Else it was there.
    // libvirtd looks whether there is any hook for QEMU when it starts, and else never calls one.
    bool libvirtd_must_restart;
};

// Throws Error where a program of somebody else is in the place.
Installation install_hook();
// Where it is, if anywhere.
std::optional<Installation> find_hook();
// Where it was. Leaves what is not ours.
std::optional<std::filesystem::path> uninstall_hook();

} // namespace tapline::hooks
