// The addresses that a driver writes into its ring, as the device finds them: guest physical ones,
// or, behind an IOMMU, I/O virtual ones as far as it has told of them.
#pragma once

#include "vhost/guest_memory.h"
#include "vhost/iotlb.h"
#include "vhost/iovec_list.h"
#include "vhost/translation_port.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace tapline::vhost {

class DeviceAddresses {
public:
    // iotlb: null where there is no IOMMU; else it outlives this or the next call of use().
    DeviceAddresses(std::shared_ptr<const GuestMemory> memory, const Iotlb* iotlb);

    // From here on with this table. What it does not tell goes to misses.
    void use(const Iotlb& iotlb, TranslationPort& misses) noexcept;

    enum class Found : uint8_t {
        all,
        not_all,  // A byte is no guest memory, or the list is full.
        not_yet,  // The front end has to tell where it lies.
        too_much, // A table in pieces that is longer than any chain.
    };
    // Adds [address, address + length) to list.
    Found append(uint64_t address, uint32_t length, Access access, IovecList& list) noexcept;
    // A table for the device to read. One that lies in pieces is put together.
    struct Table {
        Found found;
        const std::byte* bytes; // Null unless all of it was found.
    };
    Table table(uint64_t address, uint32_t length) noexcept;

    // Where the last buffer lay; a good guess for the next one.
    const GuestMemory::Window& last() const { return last_; }
    const GuestMemory& memory() const { return *memory_; }

private:
    Found translate(uint64_t address, uint32_t length, Access access, IovecList& list) noexcept;

    const std::shared_ptr<const GuestMemory> memory_;
    const Iotlb* iotlb_;
    TranslationPort* misses_ = nullptr;
    GuestMemory::Window last_;
    IovecList table_parts_; // Of a table in pieces, which are put together in the next.
    std::vector<std::byte> table_;
};

} // namespace tapline::vhost
