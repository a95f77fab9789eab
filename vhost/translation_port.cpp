#include "vhost/translation_port.h"

#include "backend/base/error.h"

#include <sys/eventfd.h>

#include <thread>
#include <utility>

namespace tapline::vhost {

void TranslationPort::publish(std::shared_ptr<const Iotlb> table) {
    if (table == owned_) {
        return;
    }
    if (!changed_) {
        changed_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        if (!changed_) {
            throw Error::from_errno("make an eventfd");
        }
    }
    const auto before = std::exchange(owned_, std::move(table));
    current_.store(owned_.get()); // Pairs with acquire(): one of both sees the other.
    eventfd_write(changed_.get(), 1);
    while (before && held_.load() == before.get()) {
        std::this_thread::yield();
    }
}

void TranslationPort::clear() {
    publish(nullptr);
    first_miss_.store(end_miss_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    reported_ = false;
}

const Iotlb* TranslationPort::acquire() noexcept {
    const Iotlb* table = current_.load();
    while (true) {
        held_.store(table);
        const Iotlb* const now = current_.load();
        if (now == table) {
            return table;
        }
        table = now;
    }
}

bool TranslationPort::report(const IotlbMiss& miss) noexcept {
    const size_t end = end_miss_.load(std::memory_order_relaxed);
    if (end - first_miss_.load(std::memory_order_acquire) == misses_max) {
        return false;
    }
    misses_[end % misses_max] = miss;
    end_miss_.store(end + 1, std::memory_order_release);
    reported_ = true;
    return true;
}

std::optional<IotlbMiss> TranslationPort::take_miss() noexcept {
    const size_t first = first_miss_.load(std::memory_order_relaxed);
    if (first == end_miss_.load(std::memory_order_acquire)) {
        return std::nullopt;
    }
    const IotlbMiss miss = misses_[first % misses_max];
    first_miss_.store(first + 1, std::memory_order_release);
    return miss;
}

} // namespace tapline::vhost
