#include "vhost/translation_port.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace tapline::vhost {
namespace {

TEST(TranslationPort, GivesTheLastTablePublished) {
    TranslationPort port;
    EXPECT_EQ(port.acquire(), nullptr);
    const auto first = Iotlb::make(nullptr);
    port.publish(first);
    EXPECT_EQ(port.acquire(), first.get());
    port.release();
    const auto second = first->without({.first = 0, .last = 1});
    port.publish(second);
    EXPECT_EQ(port.acquire(), second.get());
    port.release();
}

TEST(TranslationPort, FreesNoTableThatIsHeld) {
    TranslationPort port;
    auto last = Iotlb::make(nullptr);
    port.publish(last);
    std::atomic<bool> done = false;
    std::atomic<uint64_t> turns = 0;
    std::thread worker([&] {
        uint64_t before = 0;
        while (!done) {
            const Iotlb* const table = port.acquire();
            for (int i = 0; i < 10; ++i) { // Under a sanitizer: a table that is gone shows here.
                EXPECT_GE(table->generation(), before);
                before = table->generation();
            }
            if (++turns % 3 == 0) {
                port.release();
            }
        }
        port.release();
    });
    for (uint64_t i = 0; i < 2000; ++i) {
        last = last->without({.first = i, .last = i});
        port.publish(last);
    }
    while (turns < 100) {
        std::this_thread::yield();
    }
    done = true;
    worker.join();
}

TEST(TranslationPort, KeepsNothingOnceCleared) {
    TranslationPort port;
    port.clear();
    auto table = Iotlb::make(nullptr);
    const std::weak_ptr<const Iotlb> watched = table;
    port.publish(std::move(table));
    EXPECT_TRUE(port.report({.address = 0, .access = Access::read}));
    port.clear();
    EXPECT_TRUE(watched.expired());
    EXPECT_FALSE(port.take_miss());
    EXPECT_FALSE(port.has_reported());
    EXPECT_EQ(port.acquire(), nullptr);
}

TEST(TranslationPort, CarriesMissesUpToABound) {
    TranslationPort port;
    EXPECT_FALSE(port.take_miss());
    EXPECT_FALSE(port.has_reported());
    uint64_t reported = 0;
    while (port.report({.address = reported * 4096 + 7, .access = Access::write})) {
        ++reported;
    }
    EXPECT_GE(reported, 64u);
    EXPECT_TRUE(port.has_reported());
    EXPECT_FALSE(port.has_reported());
    for (uint64_t i = 0; i < reported; ++i) {
        ASSERT_EQ(port.take_miss(), (IotlbMiss{.address = i * 4096 + 7, .access = Access::write}));
    }
    EXPECT_FALSE(port.take_miss());
    EXPECT_TRUE(port.report({.address = 0, .access = Access::read}));
}

} // namespace
} // namespace tapline::vhost
