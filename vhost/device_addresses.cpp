#include "vhost/device_addresses.h"

#include <algorithm>
#include <cstring>

namespace tapline::vhost {
namespace {

constexpr size_t descriptor_bytes = 16;
// More entries than a chain may have parts.
constexpr size_t pieces_bytes_max = (1024 + 1) * descriptor_bytes;

} // namespace

DeviceAddresses::DeviceAddresses(std::shared_ptr<const GuestMemory> memory, const Iotlb* iotlb)
    : memory_(std::move(memory)), iotlb_(iotlb), pieces_(iotlb != nullptr ? pieces_bytes_max : 0) {}

void DeviceAddresses::use(const Iotlb& iotlb, TranslationPort& misses) noexcept {
    iotlb_ = &iotlb;
    misses_ = &misses;
    last_ = {};
}

DeviceAddresses::Found DeviceAddresses::append(uint64_t address, uint32_t length, Access access,
                                               IovecList& list) noexcept {
    if (iotlb_ != nullptr) {
        return translate(address, length, access, list);
    }
    return memory_->append(address, length, list, last_) ? Found::all : Found::not_all;
}

// Reports every page that is missing, so that they are asked for together.
DeviceAddresses::Found DeviceAddresses::translate(uint64_t address, uint32_t length, Access access,
                                                  IovecList& list) noexcept {
    Found found = Found::all;
    while (length > 0) {
        const GuestMemory::Window window = iotlb_->find(address, access);
        const uint64_t here = window.size > 0 ? window.size - (address - window.address)
                                              : IotlbMiss::page - address % IotlbMiss::page;
        const auto part = static_cast<uint32_t>(std::min<uint64_t>(length, here));
        if (window.size == 0) {
            found = Found::not_yet;
            if (misses_ == nullptr || !misses_->report(IotlbMiss::at(address, access))) {
                return found;
            }
        } else if (!list.append(window.host + (address - window.address), part)) {
            return Found::not_all;
        }
        address += part;
        length -= part;
    }
    return found;
}

DeviceAddresses::Table DeviceAddresses::table(uint64_t address, uint32_t length) noexcept {
    if (iotlb_ == nullptr) {
        const std::byte* bytes = memory_->at_guest_address(address, length);
        return {bytes != nullptr ? Found::all : Found::not_all, bytes, length};
    }
    if (const std::byte* bytes = iotlb_->at(address, length, Access::read)) {
        return {Found::all, bytes, length};
    }
    const uint64_t size = std::min<uint64_t>(length, pieces_.size());
    for (uint64_t done = 0; done < size;) {
        const uint64_t at = address + done;
        const GuestMemory::Window window = iotlb_->find(at, Access::read);
        if (window.size == 0) {
            if (misses_ != nullptr) {
                misses_->report(IotlbMiss::at(at, Access::read));
            }
            return {Found::not_yet, nullptr, 0};
        }
        const uint64_t offset = at - window.address;
        const uint64_t part = std::min(size - done, window.size - offset);
        std::memcpy(pieces_.data() + done, window.host + offset, part);
        done += part;
    }
    return {Found::all, pieces_.data(), size};
}

} // namespace tapline::vhost
