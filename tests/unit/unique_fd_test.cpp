#include "backend/base/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <utility>

namespace tapline {
namespace {

bool is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

UniqueFd make_fd() {
    return UniqueFd(eventfd(0, EFD_CLOEXEC));
}

TEST(UniqueFd, WithoutDescriptorIsFalse) {
    const UniqueFd none;
    EXPECT_FALSE(none);
    EXPECT_EQ(none.get(), -1);
}

TEST(UniqueFd, DescriptorZeroIsOne) {
    UniqueFd zero(0);
    EXPECT_TRUE(zero);
    EXPECT_EQ(zero.release(), 0);
}

TEST(UniqueFd, EndOfLifeCloses) {
    int number = -1;
    {
        const UniqueFd fd = make_fd();
        number = fd.get();
        ASSERT_TRUE(is_open(number));
    }
    EXPECT_FALSE(is_open(number));
}

TEST(UniqueFd, MoveLeavesOneOwner) {
    UniqueFd first = make_fd();
    const int number = first.get();
    const UniqueFd second = std::move(first);
    EXPECT_FALSE(first);
    EXPECT_EQ(second.get(), number);
    EXPECT_TRUE(is_open(number));
}

TEST(UniqueFd, AssignmentClosesWhatWasOwned) {
    UniqueFd kept = make_fd();
    UniqueFd replaced = make_fd();
    const int closed = replaced.get();
    const int number = kept.get();
    replaced = std::move(kept);
    EXPECT_FALSE(is_open(closed));
    EXPECT_EQ(replaced.get(), number);
    EXPECT_TRUE(is_open(number));
}

TEST(UniqueFd, AssignmentToItselfKeepsTheDescriptor) {
    UniqueFd fd = make_fd();
    UniqueFd& same = fd;
    fd = std::move(same);
    EXPECT_TRUE(is_open(fd.get()));
}

TEST(UniqueFd, ReleaseLeavesTheDescriptorOpen) {
    UniqueFd fd = make_fd();
    const UniqueFd taken_over(fd.release());
    EXPECT_FALSE(fd);
    EXPECT_TRUE(is_open(taken_over.get()));
}

TEST(UniqueFd, ResetClosesAndTakesTheNext) {
    UniqueFd fd = make_fd();
    const int first = fd.get();
    const int second = make_fd().release();
    fd.reset(second);
    EXPECT_FALSE(is_open(first));
    EXPECT_EQ(fd.get(), second);
    fd.reset();
    EXPECT_FALSE(is_open(second));
}

} // namespace
} // namespace tapline
