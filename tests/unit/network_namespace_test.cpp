#include "backend/network_namespace.h"

#include "backend/base/error.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tapline {
namespace {

ino_t inode_of(const UniqueFd& fd) {
    struct stat facts {};
    return fstat(fd.get(), &facts) == 0 ? facts.st_ino : 0;
}

TEST(NetworkNamespace, IsOpenedByPathOrProcess) {
    const ino_t ours = current_network_namespace();
    EXPECT_EQ(inode_of(open_network_namespace("/proc/self/ns/net")), ours);
    EXPECT_EQ(inode_of(open_network_namespace(std::to_string(getpid()))), ours);
}

TEST(NetworkNamespace, IsFoundByItsNumberWhileAProcessIsInIt) {
    EXPECT_EQ(inode_of(find_network_namespace(current_network_namespace())),
              current_network_namespace());
    EXPECT_FALSE(find_network_namespace(1));
}

TEST(NetworkNamespace, IsLeftAgainAfterAVisit) {
    const ino_t before = current_network_namespace();
    try {
        const NetworkNamespaceVisit visit(open_network_namespace("/proc/self/ns/net"));
        EXPECT_EQ(current_network_namespace(), before);
    } catch (const Error& error) { // Who is not root may not even enter its own.
        EXPECT_NE(std::string(error.what()).find("run as root"), std::string::npos);
    }
    EXPECT_EQ(current_network_namespace(), before);
}

struct NoNamespace {
    const char* text;
    const char* cause;
};

class NoNetworkNamespace : public testing::TestWithParam<NoNamespace> {};

TEST_P(NoNetworkNamespace, IsRefusedWithItsCause) {
    try {
        open_network_namespace(GetParam().text);
        FAIL() << "it was opened";
    } catch (const Error& error) {
        const std::string said = error.what();
        EXPECT_TRUE(said.starts_with(std::string("open network namespace '") + GetParam().text))
            << said;
        EXPECT_NE(said.find(GetParam().cause), std::string::npos) << said;
    }
}

INSTANTIATE_TEST_SUITE_P(Texts, NoNetworkNamespace,
                         testing::Values(NoNamespace{"/proc/self/ns/mnt", "no network namespace"},
                                         NoNamespace{"/dev/null", "no network namespace"},
                                         NoNamespace{"/", "no network namespace"},
                                         NoNamespace{"no-such-name", "/run/netns/no-such-name"},
                                         NoNamespace{"", "no network namespace"},
                                         NoNamespace{"99999999999", "/proc/99999999999/ns/net"}));

} // namespace
} // namespace tapline
