#include "vhost/socket.h"

#include "backend/base/error.h"
#include "tests/fakes/front_end.h"
#include "tests/fakes/socket_pair.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace tapline::vhost {
namespace {

using testing::HasSubstr;

class SocketTest : public testing::Test {
protected:
    SocketTest() {
        std::string name = testing::TempDir() + "tapline-XXXXXX";
        folder_ = mkdtemp(name.data());
        path_ = folder_ / "socket";
    }
    ~SocketTest() override { std::filesystem::remove_all(folder_); }

    std::string refusal(const std::string& path) {
        try {
            (void)ListeningSocket::bind(path);
        } catch (const Error& error) {
            return error.what();
        }
        return "bound";
    }

    std::filesystem::path folder_;
    std::string path_;
};

TEST_F(SocketTest, FrontEndConnects) {
    ListeningSocket listener = ListeningSocket::bind(path_);
    const fakes::FrontEnd front_end = fakes::FrontEnd::connect(path_);
    const UniqueFd connected = listener.accept();
    ASSERT_TRUE(connected);
    EXPECT_EQ(kind_of_socket(connected.get()), SocketKind::connected);
    EXPECT_EQ(kind_of_socket(listener.fd()), SocketKind::listening);
}

TEST_F(SocketTest, ConnectsToAFrontEndThatListens) {
    ListeningSocket listener = ListeningSocket::bind(path_);
    const UniqueFd connected = connect_to(path_);
    ASSERT_TRUE(connected);
    EXPECT_TRUE(listener.accept());
}

TEST_F(SocketTest, ConnectsToNobody) {
    const auto refusal_at = [](const std::string& path) {
        try {
            (void)connect_to(path);
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string("connected");
    };
    EXPECT_THAT(refusal_at(path_), HasSubstr("start the front end first"));
    std::ofstream(path_) << "no socket";
    EXPECT_THAT(refusal_at(path_), HasSubstr(path_));
    EXPECT_THAT(refusal_at(std::string(200, 'x')), HasSubstr("1 to 107 bytes"));
    EXPECT_THAT(refusal_at(""), HasSubstr("1 to 107 bytes"));
}

TEST_F(SocketTest, AcceptWithNobodyThereReturnsNothing) {
    ListeningSocket listener = ListeningSocket::bind(path_);
    EXPECT_FALSE(listener.accept());
}

TEST_F(SocketTest, NameGoesWithTheOwner) {
    {
        ListeningSocket listener = ListeningSocket::bind(path_);
        const ListeningSocket owner = std::move(listener);
        EXPECT_TRUE(std::filesystem::is_socket(path_));
    }
    EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(SocketTest, NameStaysWhileAMovedFromOwnerEnds) {
    std::optional<ListeningSocket> owner;
    {
        ListeningSocket listener = ListeningSocket::bind(path_);
        owner.emplace(std::move(listener));
    }
    EXPECT_TRUE(std::filesystem::is_socket(path_));
}

TEST_F(SocketTest, InheritedSocketKeepsItsName) {
    ListeningSocket listener = ListeningSocket::bind(path_);
    {
        const ListeningSocket inherited(UniqueFd(dup(listener.fd())));
        EXPECT_EQ(kind_of_socket(inherited.fd()), SocketKind::listening);
    }
    EXPECT_TRUE(std::filesystem::is_socket(path_));
}

TEST_F(SocketTest, StaleSocketIsReplaced) {
    {
        const ListeningSocket gone = ListeningSocket::bind(path_ + ".old");
        std::filesystem::rename(path_ + ".old", path_); // So that its owner does not remove it.
    }
    ASSERT_TRUE(std::filesystem::is_socket(path_));
    ListeningSocket listener = ListeningSocket::bind(path_);
    const fakes::FrontEnd front_end = fakes::FrontEnd::connect(path_);
    EXPECT_TRUE(listener.accept());
}

TEST_F(SocketTest, LiveSocketIsLeftAlone) {
    ListeningSocket live = ListeningSocket::bind(path_);
    EXPECT_EQ(refusal(path_), "listen on '" + path_ +
                                  "': another process listens there (end it or "
                                  "choose another path)");
    const UniqueFd probe = live.accept(); // The question itself was a connection.
    const fakes::FrontEnd front_end = fakes::FrontEnd::connect(path_);
    EXPECT_TRUE(live.accept());
}

TEST_F(SocketTest, LiveSocketWithAFullBacklogIsLeftAlone) {
    const ListeningSocket live = ListeningSocket::bind(path_);
    const fakes::FrontEnd first = fakes::FrontEnd::connect(path_);
    const fakes::FrontEnd second = fakes::FrontEnd::connect(path_);
    EXPECT_THAT(refusal(path_), HasSubstr("another process listens there"));
    EXPECT_TRUE(std::filesystem::is_socket(path_));
}

TEST_F(SocketTest, RegularFileIsLeftAlone) {
    std::ofstream(path_) << "precious";
    EXPECT_EQ(refusal(path_), "listen on '" + path_ +
                                  "': something that is no socket has this "
                                  "name (choose another path)");
    EXPECT_EQ(std::filesystem::file_size(path_), 8u);
}

TEST_F(SocketTest, SymbolicLinkIsLeftAlone) {
    std::filesystem::create_symlink("nowhere", path_);
    EXPECT_THAT(refusal(path_), HasSubstr("something that is no socket has this name"));
    EXPECT_TRUE(std::filesystem::is_symlink(path_));
}

TEST_F(SocketTest, PathLengthIsBounded) {
    const std::string longest = path_ + std::string(107 - path_.size(), 'x');
    EXPECT_EQ(refusal(longest), "bound");
    EXPECT_THAT(refusal(longest + "x"), HasSubstr("a socket's path has 1 to 107 bytes"));
    EXPECT_THAT(refusal(""), HasSubstr("a socket's path has 1 to 107 bytes"));
}

TEST_F(SocketTest, MissingFolderIsNamedAsTheCause) {
    EXPECT_THAT(refusal(folder_ / "missing/socket"), HasSubstr("its folder does not exist"));
}

TEST_F(SocketTest, OtherDescriptorsAreNoSocketsOfOurs) {
    const fakes::SocketPair packets(SOCK_SEQPACKET);
    const UniqueFd event = fakes::make_eventfd();
    EXPECT_THROW(kind_of_socket(packets.ours.get()), Error);
    EXPECT_THROW(kind_of_socket(event.get()), Error);
    EXPECT_THROW(kind_of_socket(-1), Error);
}

} // namespace
} // namespace tapline::vhost
