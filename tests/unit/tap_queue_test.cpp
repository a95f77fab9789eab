#include "backend/tap_queue.h"

#include "backend/base/error.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>

namespace tapline {
namespace {

TEST(TapQueue, AnotherKindOfDescriptorIsNotTakenOver) {
    try {
        TapQueue::adopt(UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC)));
        FAIL() << "/dev/null passed for a tap queue";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "ask a tap queue for its device: Inappropriate ioctl for device "
                                   "(the descriptor is no tap queue)");
    }
}

TEST(TapQueue, DescriptorThatIsRefusedIsClosed) {
    UniqueFd fd(open("/dev/null", O_RDWR | O_CLOEXEC));
    const int number = fd.get();
    EXPECT_THROW(TapQueue::adopt(std::move(fd)), Error);
    EXPECT_LT(fcntl(number, F_GETFD), 0);
}

} // namespace
} // namespace tapline
