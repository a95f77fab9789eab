// What the host's files say: /proc, /sys, /dev, /etc and /lib/modules.
#pragma once

#include "backend/device_record.h"

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tapline::doctor {

enum class ModuleState {
    built_in,
    loaded,
    loadable,
    absent,
    unknown, // The kernel takes modules, but which ones cannot be seen, as in a container.
};

struct FileRights {
    uid_t owner;
    mode_t mode;
    bool has_capabilities; // Those that setcap gives.
};

class Host {
public:
    // Paths are taken below root. A missing or unreadable file is an empty one.
    explicit Host(std::string root = "") : root_(std::move(root)) {}

    bool has(const std::string& path) const;
    bool may_use(const std::string& path) const;                     // Read and write it.
    std::optional<FileRights> rights(const std::string& path) const; // Absent as the file is.
    std::string line(const std::string& path) const;
    std::vector<std::string> lines(const std::string& path) const;
    std::vector<std::string> names_in(const std::string& folder) const;
    DeviceRecords device_records() const { return read_device_records(root_); } // Throws Error.

    std::string kernel_release() const { return line("/proc/sys/kernel/osrelease"); }
    // sign: a path that is there while the module runs.
    ModuleState module(const std::string& name, const std::string& sign) const;
    // In effect for this process; number as in linux/capability.h.
    bool has_capability(unsigned number) const;
    // Of the file system mounted there; empty where none is.
    std::string type_of_mount(const std::string& path) const;
    unsigned long hugepages() const; // Reserved, of all sizes.

private:
    std::string root_;
};

} // namespace tapline::doctor
