// Where a worker gets the translation of I/O virtual addresses from, and tells which ones it lacks.
// The main thread publishes tables and takes misses; the worker holds one table at a time. Neither
// locks; only the main thread waits, for the end of the worker's turn.
#pragma once

#include "backend/base/unique_fd.h"
#include "vhost/iotlb.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace tapline::vhost {

// An address that no table tells of yet.
struct IotlbMiss {
    uint64_t address; // Of its first byte: front ends may tell of less than a page.
    Access access;

    static constexpr uint64_t page = 4096;
    uint64_t page_address() const { return address / page * page; } // To ask for.
    bool operator==(const IotlbMiss&) const = default;
};

class TranslationPort {
public:
    TranslationPort() = default;
    TranslationPort(const TranslationPort&) = delete;
    TranslationPort& operator=(const TranslationPort&) = delete;

    // Main thread. Returns when the worker does not use any table before this one; null: none.
    // Throws Error where the kernel gives no eventfd.
    void publish(std::shared_ptr<const Iotlb> table);
    std::optional<IotlbMiss> take_miss() noexcept;
    // Main thread, with no worker there: keeps no table and no miss.
    void clear();

    // Worker. The table holds until release() or the next acquire().
    const Iotlb* acquire() noexcept;
    void release() noexcept { held_.store(nullptr, std::memory_order_release); }
    // Readable when there is another table; there is none before the first.
    int changed() const { return changed_.get(); }
    // False: there is no room.
    bool report(const IotlbMiss& miss) noexcept;
    // Whether there were reports since the last question.
    bool has_reported() noexcept { return std::exchange(reported_, false); }

private:
    static constexpr size_t misses_max = 256; // A power of two.

    UniqueFd changed_; // Made for the first table: most guests have no IOMMU.
    std::shared_ptr<const Iotlb> owned_;
    std::atomic<const Iotlb*> current_ = nullptr;
    std::atomic<const Iotlb*> held_ = nullptr;

    std::array<IotlbMiss, misses_max> misses_{};
    std::atomic<size_t> first_miss_ = 0; // Moved by the main thread.
    std::atomic<size_t> end_miss_ = 0;   // Moved by the worker.
    bool reported_ = false;              // The worker's.
};

} // namespace tapline::vhost
