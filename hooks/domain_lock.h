// A lock that only root can take, and that is waited for no longer than libvirt can wait for a
// hook: a file in /run/tapline/domains, there while it is held.
#pragma once

#include "backend/base/unique_fd.h"

#include <chrono>
#include <string>
#include <utility>

namespace tapline::hooks {

class DomainLock {
public:
    // Of the domain's UUID, with a suffix for another lock than that of its record. Throws Error
    // where another process has it all the while.
    static DomainLock take(const std::string& name,
                           std::chrono::milliseconds limit = std::chrono::seconds(30));
    // Whether it is held, or was by a process that was killed.
    static bool exists(const std::string& name);

    DomainLock(DomainLock&& other) noexcept = default;
    DomainLock& operator=(DomainLock&& other) = delete;
    ~DomainLock();

private:
    DomainLock(std::string path, UniqueFd file) : path_(std::move(path)), file_(std::move(file)) {}

    std::string path_;
    UniqueFd file_;
};

} // namespace tapline::hooks
