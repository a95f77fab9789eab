// The network namespace that the process works in.
#pragma once

#include "backend/base/unique_fd.h"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace tapline {

// By what users call it: a name of `ip netns`, a path, or the number of a process in it.
// Throws Error for what is none.
UniqueFd open_network_namespace(const std::string& text);

// By its inode number, looked for among the named ones and those of processes; empty if gone.
UniqueFd find_network_namespace(ino_t number);

UniqueFd open_own_network_namespace();
ino_t current_network_namespace();
ino_t current_pid_namespace();
// Its inode number may be another's when it is gone; this one never is.
uint64_t current_network_namespace_cookie();

// Of the calling thread: before others are started. Throws Error.
void enter_network_namespace(const UniqueFd& fd);

// Works in another network namespace while it lives.
class NetworkNamespaceVisit {
public:
    explicit NetworkNamespaceVisit(const UniqueFd& fd); // Throws Error.
    ~NetworkNamespaceVisit();
    NetworkNamespaceVisit(const NetworkNamespaceVisit&) = delete;
    NetworkNamespaceVisit& operator=(const NetworkNamespaceVisit&) = delete;

private:
    UniqueFd home_;
};

} // namespace tapline
