#include "backend/link_watch.h"

#include "backend/base/error.h"

#include <linux/rtnetlink.h>
#include <netlink/errno.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <new>

namespace tapline {

LinkWatch LinkWatch::open() {
    Socket socket(nl_socket_alloc(), nl_socket_free);
    if (!socket) {
        throw std::bad_alloc();
    }
    nl_join_groups(socket.get(), RTMGRP_LINK);
    if (const int result = nl_connect(socket.get(), NETLINK_ROUTE); result < 0) {
        throw Error({.operation = "watch links over netlink", .cause = nl_geterror(result)});
    }
    return LinkWatch(std::move(socket));
}

// What the messages say does not matter, and neither do lost ones (ENOBUFS): the caller asks the
// kernel for the state it is in.
void LinkWatch::drain() {
    std::array<char, 4096> ignored;
    while (recv(fd(), ignored.data(), ignored.size(), MSG_DONTWAIT) >= 0 || errno == ENOBUFS) {}
}

} // namespace tapline
