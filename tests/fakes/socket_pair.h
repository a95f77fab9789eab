// Two sockets connected to each other: one for the code under test, one for the other side.
#pragma once

#include "backend/base/unique_fd.h"

#include <sys/socket.h>

#include <array>
#include <stdexcept>

namespace tapline::fakes {

struct SocketPair {
    explicit SocketPair(int type) {
        std::array<int, 2> ends{};
        if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) < 0) {
            throw std::runtime_error("cannot make a socket pair");
        }
        ours.reset(ends[0]);
        theirs.reset(ends[1]);
    }

    UniqueFd ours;
    UniqueFd theirs;
};

} // namespace tapline::fakes
