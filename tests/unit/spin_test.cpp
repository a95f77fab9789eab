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
    using Work = Spin<FakeClock>::Work;
    static constexpr auto longest = Spin<FakeClock>::longest;

    // Idle for so long, looking each microsecond, then work. Returns how long looking was allowed.
    std::chrono::nanoseconds gap(std::chrono::nanoseconds length, Work work = Work::taken) {
        std::chrono::nanoseconds looked{};
        for (std::chrono::nanoseconds idle{}; idle < length; idle += 1us) {
            if (spin_.pays(Work::none)) {
                looked = idle;
            }
            FakeClock::time += 1us;
        }
        spin_.pays(work);
        return looked;
    }

    void SetUp() override {
        spin_.pays(Work::taken);
        gap(10us);
    }

    Spin<FakeClock> spin_;
};

TEST(NewSpin, SleepsUntilItKnows) {
    Spin<FakeClock> spin;
    EXPECT_FALSE(spin.pays(Spin<FakeClock>::Work::taken));
    EXPECT_FALSE(spin.pays(Spin<FakeClock>::Work::none));
}

TEST_F(SpinTest, LooksForWorkThatComesSoon) {
    EXPECT_GE(gap(longest * 2), longest - 2us);
}

TEST_F(SpinTest, BacksOffToNothingWhenWorkComesLate) {
    for (int i = 0; i < 8; ++i) {
        gap(1ms);
    }
    EXPECT_EQ(gap(1ms), 0us);
    EXPECT_FALSE(spin_.pays(Work::taken));
}

// Woken, it finds work some microseconds later, which says nothing of how long it slept.
TEST(NewSpin, CountsTheSleepAsPartOfTheGap) {
    using Work = Spin<FakeClock>::Work;
    Spin<FakeClock> spin;
    spin.pays(Work::taken);
    spin.begin_idling();
    FakeClock::time += 1ms;
    EXPECT_FALSE(spin.pays(Work::none));
    FakeClock::time += 5us;
    EXPECT_FALSE(spin.pays(Work::taken));
}

TEST_F(SpinTest, OneLateFrameAmongManyCostsHalf) {
    gap(1ms);
    const auto looked = gap(longest - 2us);
    EXPECT_GT(looked, longest / 2 - 3us);
    EXPECT_LT(looked, longest / 2);
    EXPECT_GT(gap(longest - 2us), longest / 2) << "and is forgotten at once";
}

TEST_F(SpinTest, AnswersComeSoonThoughRequestsComeLate) {
    for (int i = 0; i < 8; ++i) {
        gap(1ms, Work::given);
        gap(10us, Work::taken);
    }
    EXPECT_EQ(gap(1ms, Work::given), 0us);
    EXPECT_GT(gap(2 * longest, Work::taken), longest / 2);
}

} // namespace
} // namespace tapline
