// Where front ends come from: a socket we listen on, one that they listen on, or one that was
// handed to us.
#pragma once

#include "backend/base/unique_fd.h"

#include <sys/types.h>

#include <string>

namespace tapline::vhost {

// A listening Unix socket with a name, which goes with its owner.
class ListeningSocket {
public:
    // Takes the place of a socket that nobody listens on any more. Throws Error.
    static ListeningSocket bind(const std::string& path);
    // Takes over a socket that listens already; its name is not ours to remove.
    explicit ListeningSocket(UniqueFd fd) : fd_(std::move(fd)) {}

    ListeningSocket(ListeningSocket&&) = default;
    ListeningSocket& operator=(ListeningSocket&&) = delete;
    ~ListeningSocket();

    int fd() const { return fd_.get(); }
    UniqueFd accept(); // Empty where the front end has gone again. Throws Error.

private:
    UniqueFd fd_;
    std::string path_; // Empty: nothing to remove.
    ino_t inode_ = 0;  // What path_ named when it was ours.
};

// Throws Error for a path that no socket can have.
void check_socket_path(const std::string& path);
// A connection to the front end that listens at path. Throws Error, also where none does.
UniqueFd connect_to(const std::string& path);

enum class SocketKind { listening, connected };
// Throws Error unless fd is a stream socket of either kind.
SocketKind kind_of_socket(int fd);

} // namespace tapline::vhost
