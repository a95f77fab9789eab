#include "iouring/rate_limit.h"

#include "backend/base/error.h"
#include "backend/base/number.h"

#include <fmt/format.h>
#include <linux/if_ether.h>

#include <array>
#include <span>
#include <string>
#include <utility>

namespace tapline {
namespace {

struct Unit {
    std::string_view name;
    uint64_t count;
};

// A byte is 8 bits: these are bytes times 8.
constexpr std::array bit_units = {Unit{"kbit", 1'000}, Unit{"mbit", 1'000'000},
                                  Unit{"gbit", 1'000'000'000}};
constexpr std::array frame_rate_units = {Unit{"kfps", 1'000}, Unit{"mfps", 1'000'000},
                                         Unit{"fps", 1}};
constexpr std::array byte_units = {Unit{"kb", 1'000}, Unit{"mb", 1'000'000}, Unit{"kib", 1 << 10},
                                   Unit{"mib", 1 << 20}, Unit{"b", 1}};
constexpr std::array frame_units = {Unit{"kf", 1'000}, Unit{"f", 1}};

constexpr uint64_t bits_max = 8 * rate_max;
constexpr uint64_t frame_rate_max = 1'000'000'000;
constexpr uint64_t burst_max = 1 << 30;

// Without burst=: what comes in 10 ms, so that a worker that wakes up late loses nothing of the
// rate, and at least one frame of the largest kind, or a turn of small ones.
constexpr uint64_t bursts_per_second = 100;
constexpr uint64_t burst_bytes_min = 1 << 16;
constexpr uint64_t burst_frames_min = 64;

// What segmentation repeats: headers of Ethernet, IPv4 and TCP with timestamps.
constexpr uint64_t segment_header_bytes = ETH_HLEN + 20 + 32;

[[noreturn]] void refuse(std::string_view text, std::string cause) {
    throw Error({.operation = fmt::format("read rate limit '{}'", text),
                 .cause = std::move(cause),
                 .next_step = "write it as 100mbit or 1gbit,200kfps,burst=256kb,burst=128f"});
}

// Nothing where the item ends in none of the units.
std::optional<uint64_t> amount(std::string_view item, std::span<const Unit> units, uint64_t max) {
    for (const Unit& unit : units) {
        if (item.ends_with(unit.name) && item.size() > unit.name.size()) {
            const auto number = item.substr(0, item.size() - unit.name.size());
            if (number.find_first_not_of("0123456789") == std::string_view::npos) {
                return unit.count *
                       parse_number<uint64_t>(fmt::format("number of {} in", unit.name), number, 1,
                                              max / unit.count);
            }
        }
    }
    return std::nullopt;
}

void set_once(std::optional<uint64_t>& value, uint64_t given, std::string_view text) {
    if (std::exchange(value, given)) {
        refuse(text, "one of its parts is given twice");
    }
}

struct Parts {
    std::optional<uint64_t> bits;
    std::optional<uint64_t> frames;
    std::optional<uint64_t> burst_bytes;
    std::optional<uint64_t> burst_frames;
};

void read_part(Parts& parts, std::string_view item, std::string_view text) {
    constexpr std::string_view burst = "burst=";
    if (item.starts_with(burst)) {
        const std::string_view size = item.substr(burst.size());
        if (const auto bytes = amount(size, byte_units, burst_max)) {
            return set_once(parts.burst_bytes, *bytes, text);
        }
        if (const auto frames = amount(size, frame_units, burst_max)) {
            return set_once(parts.burst_frames, *frames, text);
        }
        refuse(text, fmt::format("'{}' is no burst in b, kb, mb, kib, mib, f or kf", item));
    }
    if (const auto bits = amount(item, bit_units, bits_max)) {
        return set_once(parts.bits, *bits, text);
    }
    if (const auto frames = amount(item, frame_rate_units, frame_rate_max)) {
        return set_once(parts.frames, *frames, text);
    }
    refuse(text, fmt::format("'{}' is no rate in kbit, mbit, gbit, fps, kfps or mfps", item));
}

} // namespace

RateLimit::Rates RateLimit::Rates::parse(std::string_view text) {
    Parts parts;
    for (std::string_view rest = text;;) {
        const auto comma = rest.find(',');
        read_part(parts, rest.substr(0, comma), text);
        if (comma == std::string_view::npos) {
            break;
        }
        rest.remove_prefix(comma + 1);
    }
    Rates rates;
    if (parts.bits) {
        const uint64_t bytes = *parts.bits / 8;
        rates.bytes = {.per_second = bytes,
                       .burst = parts.burst_bytes.value_or(
                           std::max(bytes / bursts_per_second, burst_bytes_min))};
    } else if (parts.burst_bytes) {
        refuse(text, "a burst in bytes needs a rate in bits");
    }
    if (parts.frames) {
        rates.frames = {.per_second = *parts.frames,
                        .burst = parts.burst_frames.value_or(
                            std::max(*parts.frames / bursts_per_second, burst_frames_min))};
    } else if (parts.burst_frames) {
        refuse(text, "a burst in frames needs a rate in frames");
    }
    return rates;
}

// Whoever wrote the header may lie: more or smaller segments than there will be cost only him.
RateLimit::Load RateLimit::Load::of(const VirtioNetHeader& header, size_t frame_bytes) noexcept {
    const uint16_t gso_size = header.gso_size;
    if (header.gso_type == VirtioNetHeader::gso_none || gso_size == 0 ||
        frame_bytes <= segment_header_bytes + gso_size) {
        return {.bytes = frame_bytes, .frames = 1};
    }
    const uint64_t segments = (frame_bytes - segment_header_bytes + gso_size - 1) / gso_size;
    return {.bytes = frame_bytes + (segments - 1) * segment_header_bytes, .frames = segments};
}

RateLimit::RateLimit(const Rates& rates, Time now) {
    if (rates.bytes) {
        bytes_.emplace(*rates.bytes, now);
    }
    if (rates.frames) {
        frames_.emplace(*rates.frames, now);
    }
}

bool RateLimit::take(const Load& load, Time now) noexcept {
    if (frames_ && !frames_->take(load.frames, now)) {
        return false;
    }
    if (bytes_ && !bytes_->take(load.bytes, now)) {
        if (frames_) {
            frames_->give_back(load.frames);
        }
        return false;
    }
    return true;
}

RateLimit::Time RateLimit::wait(const Load& load, Time now) const noexcept {
    return std::max(frames_ ? frames_->wait(load.frames, now) : Time::zero(),
                    bytes_ ? bytes_->wait(load.bytes, now) : Time::zero());
}

// A frame may turn out longer than an ordinary one; then the others have to wait for longer.
unsigned RateLimit::frames_to_read(unsigned most, Time now) const noexcept {
    int64_t count = most;
    if (frames_) {
        count = std::min(count, frames_->credit(now));
    }
    if (bytes_) {
        const int64_t credit = bytes_->credit(now);
        count = std::min(count, credit > 0 ? 1 + credit / ETH_FRAME_LEN : 0);
    }
    return static_cast<unsigned>(std::max<int64_t>(count, 0));
}

void RateLimit::charge(const Load& load, Time now) noexcept {
    if (frames_) {
        frames_->charge(load.frames, now);
    }
    if (bytes_) {
        bytes_->charge(load.bytes, now);
    }
}

} // namespace tapline
