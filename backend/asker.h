// The process that wants a descriptor: the other end of a connected Unix socket, as QEMU makes one
// for its network helper.
#pragma once

#include "backend/base/unique_fd.h"

namespace tapline {

class Asker {
public:
    // Throws Error unless the descriptor, which was inherited, is such a socket and the process
    // that made its other end still runs.
    static Asker behind(UniqueFd socket);

    int process() const { return process_.get(); } // A pidfd: readable when the process has ended.
    void give(int fd) const;                       // With one byte, which means nothing.
    void hang_up() { socket_.reset(); }

private:
    Asker(UniqueFd socket, UniqueFd process)
        : socket_(std::move(socket)), process_(std::move(process)) {}

    UniqueFd socket_;
    UniqueFd process_;
};

} // namespace tapline
