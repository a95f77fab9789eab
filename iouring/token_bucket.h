// A rate with a burst, shared by all workers of a NIC: no lock, one atomic number. Tokens come at
// the rate and wait, as many as the burst, to be taken; what comes beyond is lost.
//
// That number is how many tokens were ever spent or lost; how many ever came follows from the
// clock. So nothing has to be refilled, and nothing is rounded twice. Only differences of the two
// matter, both may wrap around.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace tapline {

struct Rate {
    uint64_t per_second; // 1 to rate_max.
    uint64_t burst;      // At least 1.
    bool operator==(const Rate&) const = default;
};
constexpr uint64_t rate_max = 12'500'000'000; // 100 Gbit/s; times a second in ns it fits 64 bits.

class TokenBucket {
public:
    using Time = std::chrono::nanoseconds; // Since a moment that is the same for all callers.

    TokenBucket(const Rate& rate, Time now) : rate_(rate), spent_(came(now) - rate.burst) {}

    // Below zero after charge(), or by the clock of a caller that read it earlier than others.
    int64_t credit(Time now) const noexcept {
        return credit_of(spent_.load(std::memory_order_relaxed), now);
    }

    // All or nothing. An amount over the burst needs a full bucket, and is then owed.
    bool take(uint64_t amount, Time now) noexcept {
        return spend(amount, now, static_cast<int64_t>(std::min(amount, rate_.burst)));
    }
    // What was used already: the bucket may owe afterwards.
    void charge(uint64_t amount, Time now) noexcept { spend(amount, now, INT64_MIN); }
    void give_back(uint64_t amount) noexcept {
        spent_.fetch_sub(amount, std::memory_order_relaxed);
    }

    // How long until take() may succeed, if nobody comes first.
    Time wait(uint64_t amount, Time now) const noexcept {
        const int64_t missing = static_cast<int64_t>(std::min(amount, rate_.burst)) - credit(now);
        if (missing <= 0) {
            return Time::zero();
        }
        const auto tokens = static_cast<uint64_t>(missing);
        const uint64_t part =
            (tokens % rate_.per_second * ns_per_second + rate_.per_second - 1) / rate_.per_second;
        return std::chrono::seconds(tokens / rate_.per_second) + Time(part);
    }

private:
    static constexpr uint64_t ns_per_second = 1'000'000'000;

    uint64_t came(Time now) const noexcept {
        const auto ns = static_cast<uint64_t>(now.count());
        return ns / ns_per_second * rate_.per_second +
               ns % ns_per_second * rate_.per_second / ns_per_second;
    }
    int64_t credit_of(uint64_t spent, Time now) const noexcept {
        return std::min(static_cast<int64_t>(came(now) - spent), static_cast<int64_t>(rate_.burst));
    }
    bool spend(uint64_t amount, Time now, int64_t credit_min) noexcept {
        uint64_t spent = spent_.load(std::memory_order_relaxed);
        uint64_t next = 0;
        do {
            const int64_t credit = credit_of(spent, now);
            if (credit < credit_min) {
                return false;
            }
            next = came(now) - static_cast<uint64_t>(credit) + amount;
        } while (!spent_.compare_exchange_weak(spent, next, std::memory_order_relaxed));
        return true;
    }

    const Rate rate_;
    std::atomic<uint64_t> spent_;
};

} // namespace tapline
