#include "iouring/spin.h"

#include <gtest/gtest.h>

namespace tapline {
namespace {

using namespace std::chrono_literals;

struct FakeClock {
    using duration = std::chrono::nanoseconds;
    using time_point = std::chrono::time_point<std::chrono::steady_clock, duration>;
    static time_point now() { return time; }
    static inline time_point time{};
};

class SpinTest : public testing::Test {
protected:
    static constexpr auto longest = Spin<FakeClock>::longest;

    // Idle for so long, looking each microsecond, then work. Returns how long looking was allowed.
    std::chrono::nanoseconds gap(std::chrono::nanoseconds length) {
        std::chrono::nanoseconds looked{};
        for (std::chrono::nanoseconds idle{}; idle < length; idle += 1us) {
            if (spin_.pays(false)) {
                looked = idle;
            }
            FakeClock::time += 1us;
        }
        spin_.pays(true);
        return looked;
    }

    Spin<FakeClock> spin_;
};

TEST_F(SpinTest, SleepsUntilItKnows) {
    EXPECT_FALSE(spin_.pays(true));
    EXPECT_FALSE(spin_.pays(false));
}

TEST_F(SpinTest, LooksForWorkThatComesSoon) {
    gap(10us);
    EXPECT_GE(gap(longest * 2), longest - 2us);
}

TEST_F(SpinTest, BacksOffToNothingWhenWorkComesLate) {
    gap(10us);
    for (int i = 0; i < 8; ++i) {
        gap(1ms);
    }
    EXPECT_EQ(gap(1ms), 0us);
    EXPECT_FALSE(spin_.pays(true));
}

TEST_F(SpinTest, OneLateFrameAmongManyCostsHalf) {
    gap(10us);
    gap(1ms);
    const auto looked = gap(40us);
    EXPECT_GT(looked, longest / 2 - 3us);
    EXPECT_LT(looked, longest / 2);
    EXPECT_GT(gap(40us), longest / 2) << "and is forgotten at once";
}

} // namespace
} // namespace tapline
