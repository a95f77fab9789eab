#include "backend/base/readiness.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>

namespace tapline {
namespace {

class Readiness : public testing::Test {
protected:
    Readiness() { setenv(ready_socket_variable, path_.c_str(), 1); }
    ~Readiness() override { unsetenv(ready_socket_variable); }

    const std::string path_ = fmt::format("{}ready.{}", testing::TempDir(), getpid());
};

TEST_F(Readiness, IsTold) {
    ReadySocket socket = ReadySocket::open(path_);
    EXPECT_EQ(socket.address(), path_);
    EXPECT_FALSE(socket.take());
    tell_ready();
    EXPECT_TRUE(socket.take());
    EXPECT_FALSE(socket.take());
}

TEST_F(Readiness, IsMoreThanBeingAlive) {
    ReadySocket socket = ReadySocket::open(path_);
    tell_alive();
    EXPECT_FALSE(socket.take());
    tell_alive();
    tell_ready();
    EXPECT_TRUE(socket.take());
}

TEST_F(Readiness, IsToldByNobodyElse) {
    const ReadySocket socket = ReadySocket::open(path_);
    struct stat file {};
    ASSERT_EQ(stat(path_.c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & ALLPERMS, static_cast<mode_t>(S_IRUSR | S_IWUSR));
}

TEST_F(Readiness, SocketTakesThePlaceOfOneThatWasKilledAndLeavesNone) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    const UniqueFd killed(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(killed.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    {
        ReadySocket socket = ReadySocket::open(path_);
        tell_ready();
        EXPECT_TRUE(socket.take());
    }
    EXPECT_NE(access(path_.c_str(), F_OK), 0);
}

TEST_F(Readiness, IsToldToNobodyWithoutAnAddress) {
    ReadySocket socket = ReadySocket::open(path_);
    for (const char* address : {"", "/nowhere/at/all"}) {
        setenv(ready_socket_variable, address, 1);
        tell_ready();
        EXPECT_FALSE(socket.take());
    }
    unsetenv(ready_socket_variable);
    tell_ready();
    EXPECT_FALSE(socket.take());
}

} // namespace
} // namespace tapline
